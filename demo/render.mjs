// Writes every frame of scene.html to stdout as JPEG, one after another.
// Usage: node render.mjs <frames> ; needs playwright-core and a Chromium (CHROMIUM, default /usr/bin/chromium).
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'

const require = createRequire(process.env.NODE_MODULES_FROM ?? new URL('../web/package.json', import.meta.url))
const { chromium } = require('playwright-core')
const frames = Number(process.argv[2])
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] })
const page = await browser.newPage({ viewport: { width: 540, height: 960 } })
await page.goto(pathToFileURL(fileURLToPath(new URL('scene.html', import.meta.url))).href + '?still')
await page.evaluate(() => document.fonts.ready)
for (let frame = 0; frame < frames; frame++) {
  const image = await page.evaluate(t => { draw(t); return c.toDataURL('image/jpeg', 0.97).split(',')[1] }, frame / frames)
  if (!process.stdout.write(Buffer.from(image, 'base64'))) await new Promise(done => process.stdout.once('drain', done))
}
await browser.close()
