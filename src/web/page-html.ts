/** The page itself: its script is `page.ts`, and v86 is found by the import map. Served as it is. */
export const pageHtml = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Ringside: a PC on our disks</title>
<link rel="icon" href="data:,">
<script type="importmap">{ "imports": { "v86": "/v86/build/libv86.mjs" } }</script>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 62rem; padding: 0 1rem; color: #1a1d21; background: #f6f7f8; }
h1 { font-size: 1.3rem; margin: 0 0 .2rem; }
p { margin: .2rem 0 .9rem; color: #4a525b; }
form { display: grid; grid-template-columns: max-content 1fr max-content 1fr; gap: .5rem .8rem; align-items: center; background: #fff; border: 1px solid #d7dbe0; border-radius: 6px; padding: .9rem; }
label { font-weight: 600; }
form .wide { grid-column: 2 / -1; }
input[type=text] { width: 100%; box-sizing: border-box; font: 13px ui-monospace, monospace; padding: .25rem .4rem; }
button { font: inherit; padding: .35rem .9rem; border-radius: 5px; border: 1px solid #1f5f99; background: #2470b3; color: #fff; }
button.second { background: #fff; color: #1f5f99; }
button:disabled { background: #cfd5db; border-color: #cfd5db; color: #6b747d; }
#actions { grid-column: 1 / -1; display: flex; gap: .6rem; align-items: center; }
#state { margin-left: .4rem; }
#state.bad { color: #a41d1d; font-weight: 600; }
.console { display: flex; gap: 1rem; margin-top: 1rem; flex-wrap: wrap; }
section { flex: 1 1 30rem; min-width: 0; }
h2 { font-size: 1rem; margin: 0 0 .3rem; }
#serial { display: block; box-sizing: border-box; width: 100%; height: 24rem; margin: 0; overflow: auto; background: #14171a; color: #d9e2ea; padding: .6rem; border-radius: 6px; font: 13px/1.35 ui-monospace, monospace; white-space: pre-wrap; word-break: break-all; }
#serial:focus { outline: 3px solid #7fb2de; }
#screen { background: #000; color: #fff; padding: .4rem; border-radius: 6px; overflow: auto; }
#screen > div { white-space: pre; font: 14px/1.3 ui-monospace, monospace; }
table { border-collapse: collapse; margin-top: 1rem; }
td, th { text-align: right; padding: .15rem .9rem .15rem 0; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
</style>
</head>
<body>
<h1>Ringside: a PC on our disks</h1>
<p>v86 is the PC, in this page. The disk is our virtio device half over a file of yours: what the PC writes stays in memory until you save it.</p>
<form id="form">
<label for="disk">Disk image</label><input type="file" id="disk">
<label for="kernel">Linux kernel</label><input type="file" id="kernel">
<label for="initrd">Its initrd</label><input type="file" id="initrd">
<label for="bios">Firmware</label><input type="file" id="bios">
<label for="append">Command line</label><input type="text" id="append" class="wide" value="console=ttyS0 tsc=reliable mitigations=off quiet">
<label for="device">Device</label><select id="device"><option value="blk">virtio-blk</option><option value="scsi">virtio-scsi</option></select>
<label for="registers">Registers</label><select id="registers"><option value="modern">modern, memory</option><option value="modern-io">modern, I/O</option><option value="legacy">legacy, I/O</option></select>
<label for="network">Network</label><select id="network"><option value="none">none</option><option value="user">user: 10.0.2.2 answers</option></select>
<div id="actions"><button id="start">Start</button><button type="button" class="second" id="stop" disabled>Stop</button><button type="button" class="second" id="save" disabled>Save the disk</button><span id="state" role="status">Pick a disk, or a kernel.</span></div>
</form>
<div class="console">
<section><h2>Serial line</h2><pre id="serial" tabindex="0" aria-label="Serial line: type here"></pre></section>
<section><h2>Screen</h2><div id="screen"><div></div><canvas style="display: none"></canvas></div></section>
</div>
<table><thead><tr><th>Disk</th><th>Reads</th><th>Read</th><th>Writes</th><th>Written</th></tr></thead><tbody id="counters"></tbody></table>
<script type="module" src="/src/web/page.js"></script>
</body>
</html>
`;
