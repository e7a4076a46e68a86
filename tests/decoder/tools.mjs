// The packages of scripts/requirements/decoder, which scripts/check installs.

import { createRequire } from "node:module";

const require = createRequire(new URL("../../.local/decoder/package.json", import.meta.url));

export const proto = require("@cosmjs/proto-signing");
export const amino = require("@cosmjs/amino");
export const crypto = require("@cosmjs/crypto");
export const encoding = require("@cosmjs/encoding");
export const bank = require("cosmjs-types/cosmos/bank/v1beta1/tx");
export const signing = require("cosmjs-types/cosmos/tx/signing/v1beta1/signing");
export const tx = require("cosmjs-types/cosmos/tx/v1beta1/tx");
export const ethers = require("ethers");
