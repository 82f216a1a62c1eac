//! Engine: one room's news to all its connections in a shard.
//!
//! Nearly all of them stand at the same place: what follows is read once per codec, laid side by side, and handed to
//! each with one plain write. Who stands elsewhere, or has something of its own to be told, is written to by itself.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::{Codec, Cursor, Shard, Stage};
use crate::live::log::{CODECS, Frames, Read};

/// What follows one place in one codec.
struct Next {
    cursor: Cursor,
    generation: u32,
    frames: Frames,
    /// The frames, side by side.
    bytes: Bytes,
    then: Cursor,
}

impl Next {
    fn read(stage: &Stage, (cursor, generation): (Cursor, u32), codec: Codec) -> Option<Self> {
        let Read::Frames(frames, then) = stage.read(generation, cursor, codec, false) else { return None };
        let bytes = match frames.as_slice() {
            [(only, _)] => only.clone(),
            many => {
                let mut bytes = BytesMut::with_capacity(many.iter().map(|(frame, _)| frame.len()).sum());
                for (frame, _) in many {
                    bytes.extend_from_slice(frame);
                }
                bytes.freeze()
            }
        };
        Some(Self { cursor, generation, frames, bytes, then })
    }
}

impl Shard {
    /// Writes to every connection of a room what has been appended to its log.
    pub(super) fn sweep(&mut self, room: u32) {
        let Some(found) = self.rooms.get_mut(room as usize) else { return };
        // From here on the bell rings again: what is appended during the sweep gets a sweep of its own.
        found.bell.rung.store(false, Ordering::Release);
        let (stage, bell) = (found.stage.clone(), Arc::clone(&found.bell));
        let began = Instant::now();
        let members = std::mem::take(&mut found.members);
        let mut next: [Option<Next>; CODECS] = [None, None];
        let (mut apart, mut gone) = (Vec::new(), Vec::new());
        let mut more = false;
        for at in &members {
            let Some(conn) = self.conns.get_mut(*at as usize) else { continue };
            if !conn.is_open() {
                if conn.is_ahead() {
                    apart.push(*at);
                }
                continue;
            }
            let Some(place) = conn.reader.in_step().filter(|_| conn.rest.is_empty()) else {
                apart.push(*at);
                continue;
            };
            let codec = conn.reader.codec;
            let next = &mut next[codec.index()];
            if next.is_none() {
                *next = Next::read(&stage, place, codec);
            }
            let Some(next) = next.as_ref().filter(|next| (next.cursor, next.generation) == place) else {
                apart.push(*at);
                continue;
            };
            let written = match conn.wire.write(&next.bytes) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    apart.push(*at);
                    continue;
                }
                Err(_) => {
                    gone.push(*at);
                    continue;
                }
            };
            if written == next.bytes.len() {
                conn.reader.go_to(next.then);
            } else {
                conn.took_of_log(written, &next.frames);
            }
            conn.after_write(written, written == next.bytes.len(), self.now, self.now_s);
        }
        for next in next.iter().flatten() {
            more |= stage.lag(next.then, Codec::Json).is_some_and(|(bytes, _)| bytes > 0);
        }
        self.rooms[room as usize].members = members;
        for at in gone {
            self.remove(at);
        }
        for at in apart {
            self.write_out(at);
        }
        bell.took_us.store(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX), Ordering::Relaxed);
        // A read is bounded: what did not fit follows after others had their turn.
        if more {
            bell.ring();
        }
    }
}
