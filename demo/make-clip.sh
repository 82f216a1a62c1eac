#!/usr/bin/env bash
# Makes the demo clip: clip.h264 (Annex B, constrained baseline, a keyframe each second, no B-frames) and clip.ogg
# (Opus, one 20 ms packet a page). Both loop without a seam. Needs ffmpeg, node with playwright-core, Chromium and
# the Noto CJK fonts; nobody else does, for the clip is committed.
set -euo pipefail
cd "$(dirname "$0")"
seconds=12 fps=24

node render.mjs $((seconds * fps)) | ffmpeg -v error -y -f image2pipe -c:v mjpeg -framerate $fps -i - \
  -c:v libx264 -profile:v baseline -level 3.1 -pix_fmt yuv420p -preset veryslow -tune animation \
  -g $fps -keyint_min $fps -sc_threshold 0 -bf 0 -refs 1 -b:v 440k -maxrate 620k -bufsize 620k \
  -x264-params slices=1:sliced-threads=0:repeat-headers=1:aud=0 -bsf:v 'filter_units=remove_types=6' \
  -color_range tv -colorspace bt709 -f h264 clip.h264

# A koto in the miyako-bushi scale: sixteen plucks that die away before the loop begins again.
notes=$(awk -v seconds=$seconds 'BEGIN {
  split("293.66 311.13 392.00 440.00 466.16 587.33 466.16 440.00 392.00 440.00 311.13 293.66 220.00 293.66 392.00 311.13", hz, " ")
  for (n = 1; n <= 16; n++) {
    at = (n - 1) * (seconds - 1.5) / 16
    printf "%s0.22*gt(t,%.3f)*exp(-3.2*(t-%.3f))*(sin(2*PI*%s*t)+0.4*sin(4*PI*%s*t)+0.15*sin(6*PI*%s*t))", (n > 1 ? "+" : ""), at, at, hz[n], hz[n], hz[n]
  }
}')
ffmpeg -v error -y -f lavfi -i "aevalsrc=exprs='$notes':s=48000:d=$seconds" -af 'aecho=0.8:0.6:90|170:0.25|0.15,volume=0.8' -t $seconds \
  -c:a libopus -b:a 40k -ac 2 -application audio -frame_duration 20 -page_duration 20000 -f ogg clip.ogg
ls -l clip.h264 clip.ogg
