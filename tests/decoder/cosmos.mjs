// What is in a transaction of a Cosmos SDK chain, as CosmJS reads it.

import assert from "node:assert/strict";

import { amino, bank, crypto, encoding, proto, signing, tx } from "./tools.mjs";

// CosmJS 0.39 needs to be told how long an address may be.
const MOST_ADDRESS = 90;

const MESSAGES = { MsgSend: bank.MsgSend, MsgMultiSend: bank.MsgMultiSend };

// Throws where the bytes are of no such transaction, or the signature does not fit. What is
// signed and not sent comes beside the bytes: chain_id and account_number.
export function decode(bytes, { chain_id, account_number }) {
  const { body, authInfo } = proto.decodeTxRaw(bytes);
  assert.equal(authInfo.signerInfos.length, 1, "one signer");
  assert.equal(body.messages.length, 1, "one message");
  const [signer] = authInfo.signerInfos;
  assert.equal(signer.modeInfo?.single?.mode, signing.SignMode.SIGN_MODE_DIRECT, "signed directly");
  const publicKey = encoding.fromBase64(proto.decodePubkey(signer.publicKey).value);
  verify(bytes, publicKey, chain_id, account_number);

  const { sender, ...sent } = content(body.messages[0]);
  const { prefix, data } = encoding.fromBech32(sender, MOST_ADDRESS);
  assert.deepEqual(data, amino.rawSecp256k1PubkeyToRawAddress(publicKey), "the signer pays");
  for (const { to } of sent.transfers) assert.equal(encoding.fromBech32(to, MOST_ADDRESS).prefix, prefix);
  return {
    hash: encoding.toHex(crypto.sha256(bytes)).toUpperCase(),
    sender,
    public_key: encoding.toHex(publicKey),
    ...sent,
    memo: body.memo,
    timeout_height: String(body.timeoutHeight),
    sequence: String(signer.sequence),
    gas: String(authInfo.fee.gasLimit),
    fee: authInfo.fee.amount,
  };
}

function verify(bytes, publicKey, chainId, accountNumber) {
  const raw = tx.TxRaw.decode(bytes);
  // Another encoding of the same would have another hash.
  assert.deepEqual(tx.TxRaw.encode(raw).finish(), bytes, "the one right encoding");
  assert.equal(raw.signatures.length, 1, "one signature");
  const [signature] = raw.signatures;
  const document = proto.makeSignDoc(raw.bodyBytes, raw.authInfoBytes, chainId, BigInt(accountNumber));
  const digest = crypto.sha256(proto.makeSignBytes(document));
  const fixed = crypto.Secp256k1Signature.fromFixedLength(signature);
  assert.ok(crypto.Secp256k1.verifySignature(fixed, digest, publicKey), "the signature fits");
}

function content({ typeUrl, value }) {
  const message = typeUrl.replace("/cosmos.bank.v1beta1.", "");
  const decoded = MESSAGES[message].decode(value);
  if (message === "MsgSend") {
    const { fromAddress: sender, toAddress: to, amount } = decoded;
    return { message, sender, ...sums([{ to, coins: amount }]) };
  }
  assert.equal(decoded.inputs.length, 1, "one input");
  const [input] = decoded.inputs;
  const sent = sums(decoded.outputs.map(({ address: to, coins }) => ({ to, coins })));
  const total = sent.transfers.reduce((sum, { amount }) => sum + BigInt(amount), 0n);
  assert.deepEqual(input.coins, [{ denom: sent.denom, amount: String(total) }], "the input is the outputs' sum");
  return { message, sender: input.address, ...sent };
}

// Each goes to its address in the same one coin.
function sums(outputs) {
  const denom = outputs[0].coins[0].denom;
  const transfers = outputs.map(({ to, coins }) => {
    assert.equal(coins.length, 1, "one coin");
    assert.equal(coins[0].denom, denom, "the same coin");
    return { to, amount: coins[0].amount };
  });
  return { denom, transfers };
}
