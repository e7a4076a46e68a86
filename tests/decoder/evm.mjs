// What is in a transaction of an EVM chain, as ethers reads it.

import assert from "node:assert/strict";

import { ethers } from "./tools.mjs";

const CALL = 0xf1;
const [PUSH1, PUSH20, PUSH32] = [0x60, 0x73, 0x7f];

// Throws where the bytes are of no such transaction, or no key can have signed it.
export function decode(bytes) {
  const transaction = ethers.Transaction.from(ethers.hexlify(bytes));
  assert.ok(transaction.isSigned(), "it is signed");
  // Another encoding of the same would have another hash.
  assert.equal(transaction.serialized, ethers.hexlify(bytes), "the one right encoding");
  assert.deepEqual(transaction.accessList, []);
  const { to, value, data } = transaction;
  const transfers = to === null ? calls(ethers.getBytes(data)) : [{ to, amount: String(value) }];
  const total = transfers.reduce((sum, { amount }) => sum + BigInt(amount), 0n);
  assert.equal(value, total, "it carries what it gives away");
  return {
    hash: transaction.hash,
    sender: transaction.from,
    public_key: ethers.SigningKey.computePublicKey(transaction.fromPublicKey, true).slice(2),
    type: transaction.type,
    chain_id: String(transaction.chainId),
    nonce: String(transaction.nonce),
    to,
    value: String(value),
    transfers,
    gas: String(transaction.gasLimit),
    max_fee: String(transaction.maxFeePerGas),
    priority_fee: String(transaction.maxPriorityFeePerGas),
  };
}

// The calls of code without loops: before each, its value, its address and its gas are pushed.
function calls(code) {
  const [found, pushed] = [[], []];
  for (let at = 0; at < code.length; at++) {
    const op = code[at];
    if (op >= PUSH1 && op <= PUSH32) {
      const operand = code.slice(at + 1, at + 2 + op - PUSH1);
      pushed.push({ op, operand });
      at += operand.length;
    } else if (op === CALL) {
      const [amount, address] = pushed.slice(-3);
      assert.equal(address.op, PUSH20, "an address is called");
      found.push({ to: ethers.getAddress(ethers.hexlify(address.operand)), amount: String(BigInt(ethers.hexlify(amount.operand))) });
    }
  }
  return found;
}
