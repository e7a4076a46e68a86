// Unpacks the Chromium that @sparticuz/chromium ships for bare Linux machines: a headless
// one, the libraries that it needs beside the C library, and a font.
//
// usage: node unpack_chromium.js FOLDER, where npm has installed the package

"use strict";

const { execFileSync } = require("node:child_process");
const { mkdirSync, readFileSync, writeFileSync } = require("node:fs");
const path = require("node:path");
const { brotliDecompressSync } = require("node:zlib");

const folder = path.resolve(process.argv[2]);
const inflate = (name) =>
  brotliDecompressSync(readFileSync(path.join(folder, "node_modules/@sparticuz/chromium/bin", `${name}.br`)));

writeFileSync(path.join(folder, "chromium"), inflate("chromium"), { mode: 0o755 });
for (const archive of ["al2023.tar", "fonts.tar"]) {
  execFileSync("tar", ["-x", "--no-same-owner", "-C", folder], { input: inflate(archive), maxBuffer: 1 << 30 });
}
// Theirs names the folders of a Lambda function.
mkdirSync(path.join(folder, "cache"), { recursive: true });
writeFileSync(
  path.join(folder, "fonts.conf"),
  `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>${folder}/fonts</dir><cachedir>${folder}/cache</cachedir></fontconfig>
`,
);
