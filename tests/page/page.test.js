// The faucet's page in headless Chromium, before a stub of the faucet.
//
//   node --test tests/page/page.test.js      scripts/check --only page does it
//
// With PAGE_URL set, the page of a running faucet instead: one claim, to PAGE_ADDRESS or
// else to a new EVM address, and a line `claimed {"address":…,"hash":…}`.

"use strict";

const assert = require("node:assert/strict");
const { randomBytes } = require("node:crypto");
const { once } = require("node:events");
const path = require("node:path");
const { after, before, describe, test } = require("node:test");

const { DISABLED, GOOD_STATUS, HASH, Stub, isSolved, problem } = require("./stub.js");

const TOOLS = path.join(__dirname, "../../.local/chromium");
const { chromium } = require(path.join(TOOLS, "node_modules/playwright-core"));

const ADDRESS = "0x00000000000000000000000000000000c0ffee00";
const SOON = 20_000;

let browser;

before(async () => {
  const pinned = path.join(TOOLS, "chromium");
  const executablePath = process.env.CHROMIUM ?? pinned;
  // Another one has libraries and fonts of its own.
  const theirs = { LD_LIBRARY_PATH: path.join(TOOLS, "lib"), FONTCONFIG_FILE: path.join(TOOLS, "fonts.conf") };
  browser = await chromium.launch({
    executablePath,
    args: ["--disable-dev-shm-usage", "--no-proxy-server"],
    env: { ...process.env, ...(executablePath === pinned && theirs) },
  });
});

after(() => browser.close());

// Opens a page, has `look` at it, and fails if anything went wrong in it unseen. What it
// asks another site for is given to `outside`, and goes nowhere.
async function visit(url, look, { outside = (route) => route.abort(), ...options } = {}) {
  const context = await browser.newContext(options);
  try {
    await context.route(({ hostname }) => !/^(127\.0\.0\.1|(.+\.)?localhost)$/.test(hostname), outside);
    const page = await context.newPage();
    page.setDefaultTimeout(SOON);
    const complaints = [];
    page.on("pageerror", (error) => complaints.push(error.stack));
    page.on("console", (message) => {
      // Chromium complains of each answer that is lost or not a success; those here are meant.
      const meant = message.text().startsWith("Failed to load resource") && /\/v1\/|^https:/.test(message.location().url);
      if (["error", "warning"].includes(message.type()) && !meant) complaints.push(message.text());
    });
    await page.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => console.error(`refused: ${event.blockedURI} by ${event.violatedDirective}`));
      // What a screen reader would read out.
      window.announced = [];
      addEventListener("DOMContentLoaded", () => {
        for (const live of document.querySelectorAll("[role=status], [role=alert]")) {
          const note = () => live.textContent && window.announced.push(live.textContent);
          new MutationObserver(note).observe(live, { childList: true, characterData: true, subtree: true });
        }
      });
    });
    await page.goto(url);
    await look(page);
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
  }
}

async function withStub(settings, look, options) {
  const stub = await Stub.start(settings);
  try {
    await visit(stub.url, (page) => look(page, stub), options);
  } finally {
    stub.stop();
  }
}

// A text of the page, as soon as it is as expected.
async function sees(page, selector, expected) {
  await page.locator(selector).filter({ hasText: expected, visible: true }).waitFor();
}

async function ask(page, address = ADDRESS) {
  await page.locator("#fields:enabled").waitFor();
  await page.fill("#address", address);
  await page.press("#address", "Enter");
}

const focused = (page) => page.evaluate(() => document.activeElement.id);
const announced = (page) => page.evaluate(() => window.announced);
const states = (page) => page.locator("#steps li").evaluateAll((steps) => steps.map((step) => step.dataset.state));

async function seesPaid(page) {
  await sees(page, "#message", "1.5 TEST arrived in block 13.");
  assert.equal(await page.textContent("#hash"), HASH);
  assert.deepEqual(await states(page), ["done", "done", "done", "done", "done"]);
  assert.equal(await page.textContent("#alert"), "");
}

async function seesNoSuccess(page) {
  assert.doesNotMatch(await page.locator("main").innerText(), /arrived in|Claim again/);
  assert.equal(await page.locator("[data-ended=paid]").count(), 0);
}

if (process.env.PAGE_URL) {
  test("a claim on a running faucet is paid", async () => {
    const address = process.env.PAGE_ADDRESS ?? `0x${randomBytes(20).toString("hex")}`;
    await visit(process.env.PAGE_URL, async (page) => {
      page.setDefaultTimeout(120_000);
      await ask(page, address);
      await page.locator("#claim[data-ended], #alert:not(:empty)").first().waitFor();
      assert.equal(await page.textContent("#alert"), "");
      await sees(page, "#message", "arrived in block");
      const hash = await page.textContent("#hash");
      assert.notEqual(hash, "");
      console.log(`claimed ${JSON.stringify({ address, hash })}`);
    });
  });
} else {
  describe("the page", { concurrency: 4, timeout: 50_000 }, () => {
    test("says how the faucet is", () =>
      withStub({}, async (page) => {
        await sees(page, "#condition", "The faucet works.");
        assert.equal(await page.title(), "Faucet testnet");
        assert.equal(await page.textContent("#amount"), "1.5 TEST");
        assert.equal(await page.textContent("#budget"), "98.5 TEST of 100 TEST");
        assert.equal(await page.textContent("#waiting"), "3");
      }));

    for (const [status, words] of [
      ["empty", "The faucet is empty"],
      ["broken", "out of step with its chain"],
    ]) {
      test(`says that it is ${status}`, () =>
        withStub({ status: { ...GOOD_STATUS, status, reason: "SoItIs" } }, async (page) => {
          await sees(page, "#condition", words);
          await sees(page, "#condition", "(SoItIs)");
        }));
    }

    test("says that today's budget is spent", () =>
      withStub({ status: { ...GOOD_STATUS, budget: { ...GOOD_STATUS.budget, left: "1" } } }, async (page) => {
        await sees(page, "#condition", "Today’s budget is spent");
        await sees(page, "#budget", "nothing until");
      }));

    test("takes a claim by keyboard alone, and tells each step", () =>
      withStub({}, async (page, stub) => {
        await page.locator("#fields:enabled").waitFor();
        await page.keyboard.press("Tab");
        assert.equal(await focused(page), "address");
        await page.keyboard.type(` ${ADDRESS} `);
        await page.keyboard.press("Enter");
        await sees(page, "#hash", HASH);
        assert.equal(await focused(page), "claim-title");
        await seesPaid(page);
        await sees(page, "#steps [aria-current=step]", "Final");

        const said = (await announced(page)).join("\n");
        assert.match(said, /Accepted: the claim waits[^]*Sent:[^]*In block 13: 1.5 TEST arrived[^]*arrived in block 13\./);
        const [asked] = stub.asked;
        assert.deepEqual(asked.body, { address: ADDRESS });
        assert.equal(asked.prefer, "respond-async");
        assert.match(asked.key, /^[0-9a-f]{32}$/);
        assert.equal(stub.asked.length, 1);

        await page.keyboard.press("Tab");
        assert.equal(await focused(page), "copy");
        await page.keyboard.press("Enter");
        await sees(page, "#copy", "Copied");
        assert.equal(await page.evaluate(() => navigator.clipboard.readText()), HASH);

        await page.keyboard.press("Tab");
        assert.equal(await focused(page), "restart");
        await page.keyboard.press("Enter");
        assert.equal(await focused(page), "address");
        await ask(page);
        await seesPaid(page);
        assert.notEqual(stub.asked[1].key, asked.key);
      }, { permissions: ["clipboard-read", "clipboard-write"] }));

    test("solves the proof of work, and again where it came too late", () =>
      withStub(
        {
          status: { ...GOOD_STATUS, proof_of_work: { bits: 17 } },
          answers: [problem(403, "ChallengeInvalid", "the challenge has expired")],
        },
        async (page, stub) => {
          await sees(page, "#work-hint", "puzzle");
          await ask(page);
          await seesPaid(page);
          const [first, second] = stub.asked;
          assert.equal(first.key, second.key);
          assert.notEqual(first.body.response, second.body.response);
        },
      ));

    test("solves challenges of any length", () =>
      withStub({}, async (page) => {
        const bits = 9;
        // Up to three of SHA-256's blocks.
        const challenges = Array.from({ length: 150 }, (_, length) => "c".repeat(length));
        const responses = await page.evaluate(([challenges, bits]) =>
          new Promise((resolve) => {
            const solved = [];
            const worker = new Worker("faucet/worker.js");
            worker.onmessage = ({ data: { response } }) => {
              if (response) solved.push(response);
              if (solved.length === challenges.length) resolve(solved);
            };
            for (const challenge of challenges) worker.postMessage({ challenge, bits });
          }), [challenges, bits]);
        responses.forEach((response, index) => {
          assert.ok(response.startsWith(`${challenges[index]}:`), response);
          assert.ok(isSolved(response, bits), response);
        });
      }));

    test("shows how the puzzle goes on, and gives it up when told to", () =>
      withStub({ status: { ...GOOD_STATUS, proof_of_work: { bits: 32 } } }, async (page, stub) => {
        await ask(page);
        await sees(page, "#message", "works on the puzzle");
        await page.waitForFunction(() => document.getElementById("work-progress").value > 0);
        await page.press("#restart", "Enter");
        assert.equal(await focused(page), "address");
        await page.reload();
        await page.locator("#fields:enabled").waitFor();
        assert.equal(await page.isVisible("#claim"), false);
        assert.deepEqual(stub.asked, []);
      }));

    test("counts down until a claim may be tried again", () =>
      withStub(
        { answers: [problem(429, "AddressCooldown", "this address has had its share", { "Retry-After": "3" })] },
        async (page, stub) => {
          await ask(page);
          await sees(page, "#alert", "This address has had its share.");
          await sees(page, "#alert", /You can try again in [123] s\./);
          await seesNoSuccess(page);
          assert.equal(await focused(page), "alert");
          assert.equal(await page.inputValue("#address"), ADDRESS);
          await page.waitForFunction(() => window.announced.includes("You can try again now."));
          assert.equal(await page.textContent("#alert"), "");
          const counted = (await announced(page)).filter((text) => /again in \d s\./.test(text));
          assert.ok(new Set(counted).size > 1, counted);
          await page.keyboard.press("Tab");
          assert.equal(await focused(page), "address");
          await page.keyboard.press("Enter");
          await seesPaid(page);
          assert.notEqual(stub.asked[0].key, stub.asked[1].key);
        },
      ));

    test("shows an address that the faucet refuses at its field", () =>
      withStub({ answers: [problem(400, "AddressInvalid", "the checksum of the address is wrong")] }, async (page) => {
        await ask(page);
        await sees(page, "#address-error", "The checksum of the address is wrong.");
        assert.equal(await focused(page), "address");
        assert.equal(await page.getAttribute("#address", "aria-invalid"), "true");
        assert.match(await page.getAttribute("#address", "aria-describedby"), /address-error/);
        await seesNoSuccess(page);
        await page.keyboard.type("0");
        assert.equal(await page.getAttribute("#address", "aria-invalid"), null);
      }));

    test("sends nothing without an address", () =>
      withStub({}, async (page, stub) => {
        await ask(page, "  ");
        await sees(page, "#address-error", "An address is needed.");
        assert.deepEqual(stub.asked, []);
      }));

    test("asks again with the same key where a reply is lost", () =>
      withStub({ answers: ["drop", "accept and drop"] }, async (page, stub) => {
        await ask(page);
        await seesPaid(page);
        assert.equal(stub.asked.length, 3);
        assert.equal(new Set(stub.asked.map(JSON.stringify)).size, 1);
        assert.equal(stub.accepted.size, 1);
      }));

    test("goes on with the same claim after a reload", () =>
      withStub(
        // The puzzle, so that what was found is kept as well.
        { status: { ...GOOD_STATUS, proof_of_work: { bits: 8 } }, answers: ["accept and drop", "drop"] },
        async (page, stub) => {
          await ask(page);
          while (stub.asked.length < 2) await once(stub, "asked");
          await page.reload();
          await sees(page, "#hash", HASH);
          assert.equal(stub.asked.length, 3);
          assert.equal(new Set(stub.asked.map(JSON.stringify)).size, 1);
          await page.reload();
          await seesPaid(page);
          assert.equal(await page.textContent("#claim-address"), ADDRESS);
          assert.equal(stub.asked.length, 3);
          assert.equal(stub.accepted.size, 1);
        },
      ));

    test("gives up in the end, and tries again when told to", () =>
      withStub(
        { answers: Array(4).fill(problem(503, "StoreUnavailable", "the service cannot answer now", { "Retry-After": "1" })) },
        async (page, stub) => {
          await ask(page);
          await sees(page, "#alert", "The service cannot answer now. To try again is safe");
          assert.ok((await announced(page)).includes("The service cannot answer now. Asking again …"));
          await seesNoSuccess(page);
          assert.equal(await focused(page), "retry");
          await page.keyboard.press("Enter");
          await seesPaid(page);
          assert.equal(stub.asked.length, 5);
          assert.equal(new Set(stub.asked.map(({ key }) => key)).size, 1);
        },
      ));

    for (const [what, settings, words] of [
      ["failed", { course: [{ status: "failed", reason: "transfer_failed", hash: HASH }] }, "The claim failed: the chain refused"],
      ["expired", { course: [{ status: "expired", reason: "not_paid_in_time" }] }, "The claim expired: the faucet could not"],
      ["sent by nobody", { answers: [DISABLED] }, "set to send nothing"],
    ]) {
      test(`does not show a claim as a success that is ${what}`, () =>
        withStub(settings, async (page) => {
          await ask(page);
          await sees(page, "#alert", words);
          await seesNoSuccess(page);
          assert.ok((await states(page)).includes("failed"));
          assert.match((await announced(page)).join("\n"), new RegExp(words));
        }));
    }

    test("tells why a claim waits", () =>
      withStub({ course: [{ status: "queued", reason: "faucet_empty" }] }, async (page) => {
        await ask(page);
        await sees(page, "#message", "Accepted: the faucet is empty");
        await seesNoSuccess(page);
      }));

    for (const [provider, action, host] of [
      ["recaptcha", null, "https://www.google.com/"],
      ["recaptcha", "claim", "https://www.google.com/"],
      ["hcaptcha", null, "https://js.hcaptcha.com/"],
      ["turnstile", "claim", "https://challenges.cloudflare.com/"],
    ]) {
      test(`sends the token of ${provider}${action ? " for an action" : ""}`, () =>
        withStub(
          {
            status: { ...GOOD_STATUS, captcha: { provider, site_key: "the-key", action } },
            answers: [problem(403, "CaptchaFailed", "the captcha was not passed")],
          },
          async (page, stub) => {
            const widget = page.locator("#captcha button");
            const solve = async () => {
              if (await widget.isVisible()) await widget.click();
            };
            await page.locator("#fields:enabled").waitFor();
            if (await widget.isVisible()) {
              await ask(page);
              await sees(page, "#alert", "The captcha is not solved yet.");
              assert.deepEqual(stub.asked, []);
            }
            await solve();
            await ask(page);
            await sees(page, "#alert", "The captcha was not passed.");
            await seesNoSuccess(page);
            await solve();
            await ask(page);
            await seesPaid(page);
            // Each with a token of its own.
            const suffix = `the-key ${action ?? ""}`.trim();
            assert.deepEqual(stub.asked.map(({ body }) => body.response), [`1 ${suffix}`, `2 ${suffix}`]);
          },
          {
            outside(route) {
              assert.ok(route.request().url().startsWith(host), route.request().url());
              return route.fulfill({ contentType: "text/javascript", body: fakeCaptcha(provider) });
            },
          },
        ));
    }

    test("says so where the captcha cannot be loaded", () =>
      withStub(
        { status: { ...GOOD_STATUS, captcha: { provider: "turnstile", site_key: "the-key", action: null } } },
        async (page) => {
          await sees(page, "#condition", "The captcha cannot be loaded");
          assert.equal(await page.locator("#fields:enabled").count(), 0);
        },
      ));

    test("fits a narrow screen", () =>
      withStub({}, async (page) => {
        await ask(page);
        await seesPaid(page);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.equal(overflow, 0);
      }, { viewport: { width: 320, height: 640 } }));

    test("says what is missing without JavaScript", () =>
      withStub({}, async (page) => {
        assert.ok(await page.isVisible("noscript p"));
        assert.match(await page.textContent("noscript"), /This page needs JavaScript\./);
        assert.equal(await page.isVisible("form"), false);
      }, { javaScriptEnabled: false }));
  });
}

// A provider's script: a button in place of its puzzle, and tokens that tell what they are for.
function fakeCaptcha(provider) {
  const name = provider === "recaptcha" ? "grecaptcha" : provider;
  const fake = (api, onload) => {
    let count = 0;
    let button;
    window[api] = {
      execute: async (key, { action }) => `${(count += 1)} ${key} ${action}`,
      render(container, { sitekey, callback, action = "" }) {
        button = document.createElement("button");
        button.type = "button";
        button.textContent = "I am human";
        button.onclick = () => {
          button.hidden = true;
          callback(`${(count += 1)} ${sitekey} ${action}`.trim());
        };
        container.append(button);
        return 0;
      },
      reset() {
        button.hidden = false;
      },
    };
    window[onload]();
  };
  return `(${fake})(${JSON.stringify(name)}, new URL(document.currentScript.src).searchParams.get("onload"))`;
}
