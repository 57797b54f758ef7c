// Perfetto's trace processor, as its web page runs it in a worker, outside of a browser.
// node perfetto_engine.cjs FOLDER: requests (TraceProcessorRpcStream) on stdin, replies on stdout.
// FOLDER holds the worker's script, engine_bundle.js, and trace_processor.wasm.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");

const folder = process.argv[2];
const log = (...words) => process.stderr.write(words.join(" ") + "\n");
process.on("uncaughtException", (error) => {
  log(String(error && error.message).slice(0, 2000));
  process.exit(1);
});

// A worker's world: it must not see node, which the script is not built for.
const worker = vm.createContext({
  TextDecoder, TextEncoder, URL, clearTimeout, crypto, performance, setTimeout,
  console: { log, warn: log, error: log },
  WorkerGlobalScope: function () {},
  location: { href: "https://engine/" },
});
vm.runInContext("globalThis.self = globalThis", worker);
const bytes = vm.runInContext("(given) => Uint8Array.from(given)", worker);
worker.XMLHttpRequest = class {
  open(method, url) {
    this.file = path.join(folder, path.basename(url));
  }
  send() {
    this.status = 200;
    this.response = bytes(fs.readFileSync(this.file)).buffer;
  }
};
vm.runInContext(fs.readFileSync(path.join(folder, "engine_bundle.js"), "utf8"), worker);

const port = {
  postMessage(reply) {
    for (let sent = 0; sent < reply.length; ) sent += fs.writeSync(1, reply, sent);
  },
};
worker.onmessage({ data: port });
// The engine is ready when the promise of its start has been kept, before any timer.
setTimeout(() => port.onmessage({ data: bytes(fs.readFileSync(0)) }), 0);
