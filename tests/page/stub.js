// The page on a server of its own, with a faucet behind it that answers as it is told.

"use strict";

const { createHash, randomUUID } = require("node:crypto");
const { EventEmitter, once } = require("node:events");
const { readFileSync } = require("node:fs");
const http = require("node:http");
const path = require("node:path");

const FOLDER = path.join(__dirname, "../../crates/faucet-service/src/page");
const TYPES = { html: "text/html; charset=utf-8", js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8" };
// Where a captcha is loaded from, as the faucet's own page may.
const CAPTCHA_SOURCES = {
  recaptcha: " https://www.google.com https://www.gstatic.com",
  hcaptcha: " https://hcaptcha.com https://*.hcaptcha.com",
  turnstile: " https://challenges.cloudflare.com",
};

const DISABLED = { status: 200, body: { message: "transaction committed", hash: "SendDisabled", height: 0 } };
const HASH = `0x${"5a".repeat(32)}`;
const AMOUNT = "1500000000000000000";
const GOOD_STATUS = {
  name: "testnet",
  status: "ok",
  account: "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
  balance: "9998500000000000000000",
  amount: AMOUNT,
  symbol: "TEST",
  decimals: 18,
  height: 12,
  observed_time: "2030-01-01T00:00:00Z",
  queue: { waiting: 3, oldest_seconds: 2 },
  budget: { daily: "100000000000000000000", left: "98500000000000000000", resets_time: "2030-01-02T00:00:00Z" },
  captcha: null,
  proof_of_work: null,
  throttle: { per_minute: 10 },
};

// What becomes of a claim, one look after another.
const PAID = [
  { status: "queued", reason: "waiting", message: "claim accepted" },
  { status: "sent", hash: HASH, message: "transaction sent" },
  { status: "committed", hash: HASH, height: 13, message: "transaction committed" },
  { status: "paid", hash: HASH, height: 13, message: "transaction committed" },
];

function problem(status, code, message, headers = {}) {
  const body = { type: `urn:offchain:${code}`, title: code, status, detail: message, message };
  return { status, body, headers: { "Content-Type": "application/problem+json", ...headers } };
}

class Stub extends EventEmitter {
  // What GET v1/status says, and how a claim goes on.
  status = GOOD_STATUS;
  course = PAID;
  // Answers to the next claims that are asked for: a reply, "accept", "drop" (the reply is
  // lost), or "accept and drop". When there are none, claims are accepted.
  answers = [];
  // Every claim that was asked for: `{key, prefer, body}`.
  asked = [];
  // The claims that were accepted, by key, each with the looks taken at it.
  accepted = new Map();
  challenges = new Map();

  static async start(settings = {}) {
    const stub = Object.assign(new Stub(), settings);
    stub.server = http.createServer((request, response) => stub.serve(request, response));
    stub.server.listen(0, "127.0.0.1");
    await once(stub.server, "listening");
    stub.url = `http://127.0.0.1:${stub.server.address().port}/faucet`;
    return stub;
  }

  stop() {
    this.server.close();
    this.server.closeAllConnections();
  }

  async serve(request, response) {
    const url = new URL(request.url, "http://stub");
    const file = /^\/faucet(?:\/([a-z.]+))?$/.exec(url.pathname);
    if (file) return this.servePage(file[1] ?? "index.html", response);
    let body = "";
    for await (const chunk of request) body += chunk;
    const answer = this.answer(request, url, body);
    if (answer === undefined) return lose(response);
    response.writeHead(answer.status, { "Content-Type": "application/json", ...answer.headers });
    response.end(JSON.stringify(answer.body));
  }

  servePage(name, response) {
    response.writeHead(200, {
      "Content-Type": TYPES[name.split(".")[1]],
      "Content-Security-Policy": contentSecurityPolicy(this.status.captcha?.provider),
      "X-Content-Type-Options": "nosniff",
    });
    response.end(readFileSync(path.join(FOLDER, name)));
  }

  answer(request, url, body) {
    const route = `${request.method} ${url.pathname}`;
    if (route === "GET /v1/status") return { status: 200, body: this.status };
    if (route === "GET /v1/challenge") return this.challenge();
    if (route === "POST /v1/claim") return this.claim(request.headers, JSON.parse(body));
    const id = /^GET \/v1\/claims\/(.+)$/.exec(route)?.[1];
    return this.look([...this.accepted.values()].find((claim) => claim.id === id));
  }

  challenge() {
    const challenge = randomUUID();
    const { bits } = this.status.proof_of_work;
    this.challenges.set(challenge, bits);
    return { status: 200, body: { challenge, bits, expires_time: "2030-01-01T00:05:00Z" } };
  }

  claim(headers, body) {
    const key = headers["idempotency-key"];
    this.asked.push({ key, prefer: headers.prefer, body });
    this.emit("asked");
    const answer = this.answers.shift() ?? "accept";
    if (answer === "drop") return undefined;
    if (typeof answer === "object") return answer;
    if (!this.accepted.has(key)) {
      if (this.status.proof_of_work && !this.solved(body.response)) {
        return problem(403, "ChallengeInvalid", "the challenge is not solved");
      }
      this.accepted.set(key, { id: randomUUID(), address: body.address, looks: 0 });
    }
    if (answer === "accept and drop") return undefined;
    const { id } = this.accepted.get(key);
    const status_url = `/v1/claims/${id}`;
    return {
      status: 202,
      body: { message: "claim accepted", claim_id: id, status: "queued", status_url },
      headers: { Location: status_url, "Retry-After": "1" },
    };
  }

  // A challenge is good once.
  solved(response) {
    const challenge = response.slice(0, response.lastIndexOf(":"));
    const bits = this.challenges.get(challenge);
    this.challenges.delete(challenge);
    return bits !== undefined && isSolved(response, bits);
  }

  look(claim) {
    if (!claim) return problem(404, "ClaimNotFound", "there is no such claim");
    const view = this.course[Math.min(claim.looks, this.course.length - 1)];
    claim.looks += 1;
    return {
      status: 200,
      body: { claim_id: claim.id, address: claim.address, amount: AMOUNT, ...view },
    };
  }
}

// Whether the response's hash begins with so many zero bits.
function isSolved(response, bits) {
  const hash = BigInt(`0x${createHash("sha256").update(response).digest("hex")}`);
  return hash >> BigInt(256 - bits) === 0n;
}

// Ends in the middle of a reply: a request without any Chromium makes again by itself.
function lose(response) {
  response.writeHead(200, { "Content-Type": "application/json", "Content-Length": 100 });
  response.write("{", () => response.destroy());
}

// As the faucet's own, in crates/faucet-service/src/page.rs.
function contentSecurityPolicy(provider) {
  const theirs = CAPTCHA_SOURCES[provider] ?? "";
  return (
    `default-src 'none'; script-src 'self'${theirs}; style-src 'self'${theirs}; ` +
    `connect-src 'self'${theirs}; worker-src 'self'; img-src 'self' data:; ` +
    `frame-src 'self'${theirs}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`
  );
}

module.exports = { DISABLED, GOOD_STATUS, HASH, Stub, isSolved, problem };
