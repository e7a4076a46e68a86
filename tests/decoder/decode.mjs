// Reads signed transactions with libraries that had no part in signing them: CosmJS and ethers.
//
//   node tests/decoder/decode.mjs [--changed] < LINES
//
// A line is JSON: {"kind": "cosmos" | "evm", "bytes": hexadecimal, "expected": what is in it},
// and of a Cosmos chain "chain_id" and "account_number", which are signed and not sent. What
// is found in each is printed, a line of JSON each: messages, sequence, fee, hash, sender. It
// has to be what was expected, and the signature has to fit. With --changed, nothing of it
// may be accepted once one byte or one expected part is another. Exit 1 where one fails.

import assert from "node:assert/strict";
import { text } from "node:stream/consumers";

import * as cosmos from "./cosmos.mjs";
import * as evm from "./evm.mjs";

// In a long transaction so many bytes are changed, spread over all of it.
const MOST_CHANGED = 500;

const decoders = { cosmos, evm };

// What is in it; throws unless that is what was expected, the hash only where one is.
function check(line) {
  const found = decoders[line.kind].decode(Uint8Array.from(Buffer.from(line.bytes, "hex")), line);
  const { hash, ...parts } = found;
  assert.deepEqual("hash" in line.expected ? found : parts, line.expected);
  return found;
}

function refuses(line) {
  try {
    check(line);
    return false;
  } catch {
    return true;
  }
}

// The same line with one thing in it changed, and what that is.
function* changed(line) {
  // The hash would tell any change of a byte: the rest has to tell it as well.
  const { hash, ...expected } = line.expected;
  const length = line.bytes.length / 2;
  for (let at = 0; at < length; at += Math.max(1, Math.floor(length / MOST_CHANGED))) {
    const bytes = Buffer.from(line.bytes, "hex");
    bytes[at] ^= 1;
    yield [`byte ${at}`, { ...line, bytes: bytes.toString("hex"), expected }];
  }
  for (const part of ["chain_id", "account_number"]) {
    if (part in line) yield [part, { ...line, [part]: `${line[part]}1` }];
  }
  for (const part of Object.keys(line.expected)) {
    yield [part, { ...line, expected: { ...line.expected, [part]: [line.expected[part]] } }];
  }
}

const lines = (await text(process.stdin)).trim().split("\n").filter(Boolean).map((line) => JSON.parse(line));
assert.ok(lines.length > 0, "no transactions were given");
let failed = 0;
for (const line of lines) {
  try {
    assert.ok(line.expected.hash, "a hash is expected");
    console.log(JSON.stringify(check(line)));
  } catch (error) {
    failed++;
    console.error(`refused: ${line.expected?.hash}: ${error.message}`);
    continue;
  }
  if (!process.argv.includes("--changed")) continue;
  let count = 0;
  for (const [what, other] of changed(line)) {
    count++;
    if (refuses(other)) continue;
    failed++;
    console.error(`accepted with another ${what}: ${line.expected.hash}`);
  }
  console.error(`refused with one of ${count} changes: ${line.kind}, ${line.expected.transfers.length} transfers, ${line.bytes.length / 2} bytes`);
}
process.exitCode = failed === 0 ? 0 : 1;
