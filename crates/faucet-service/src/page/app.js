// The faucet's page: shows how the faucet is, takes an address, has the captcha or the
// proof of work done, asks for coins, and follows the claim until the chain has it.
//
// A claim is asked for under an Idempotency-Key that is kept for the tab, with all that was
// sent. So a reload, or asking again after a reply was lost, goes on with the same claim.

const STATUS_EVERY = 30;
const STATUS_RETRY = 5;
// Between two looks at a claim: at first, and after so many looks; in seconds.
const LOOK_EVERY = 1;
const LOOK_LATER_EVERY = 5;
const FIRST_LOOKS = 20;
// How often a claim is asked for again by itself where no reply says what became of it.
const TRIES = 4;
const TIMEOUT = 35;
const STEPS = ["asked", "accepted", "sent", "committed", "paid"];
const PENDING = "offchain-faucet-claim";

const CAPTCHAS = {
  recaptcha: { script: "https://www.google.com/recaptcha/api.js", api: "grecaptcha" },
  hcaptcha: { script: "https://js.hcaptcha.com/1/api.js", api: "hcaptcha" },
  turnstile: { script: "https://challenges.cloudflare.com/turnstile/v0/api.js", api: "turnstile" },
};

const element = (id) => document.getElementById(id);

// ---------------------------------------------------------------- the faucet's HTTP API

// The faucet's answer that it will not.
class Refusal extends Error {
  constructor(status, problem, retryAfter) {
    super(sentence(problem.message ?? problem.detail ?? `The faucet answers with status ${status}.`));
    this.status = status;
    this.code = problem.title ?? "";
    this.retryAfter = retryAfter;
  }
}

// No answer, or one of an error on the faucet's side: whether the request had an effect is
// unknown, and the same request may be made again.
class Trouble extends Error {
  constructor(message, retryAfter) {
    super(message);
    this.retryAfter = retryAfter;
  }
}

// The JSON of an answer, with `retryAfter` in seconds where the faucet says so.
async function request(path, { signal, ...options } = {}) {
  const timeout = AbortSignal.timeout(TIMEOUT * 1000);
  let response;
  let body;
  try {
    response = await fetch(new URL(`v1/${path}`, document.baseURI), {
      cache: "no-store",
      ...options,
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    body = await response.text();
  } catch (error) {
    signal?.throwIfAborted();
    throw new Trouble("The faucet does not answer.");
  }
  const retryAfter = Number.parseInt(response.headers.get("Retry-After"), 10) || undefined;
  let answer = {};
  try {
    answer = JSON.parse(body);
  } catch {
    // A server between here and the faucet may answer with a page of its own.
    if (response.ok) throw new Trouble("The faucet’s answer cannot be read.", retryAfter);
  }
  if (response.ok) return { ...answer, retryAfter };
  const refusal = new Refusal(response.status, answer, retryAfter);
  throw response.status >= 500 ? new Trouble(refusal.message, retryAfter) : refusal;
}

// ---------------------------------------------------------------- words and numbers

function sentence(text) {
  const end = /[.!?…]$/.test(text) ? "" : ".";
  return text.charAt(0).toUpperCase() + text.slice(1) + end;
}

// A sum in the smallest unit, as coins: `1500000`, 6 -> `1.5`.
function coins(sum, { decimals, symbol }) {
  const digits = sum.padStart(decimals + 1, "0");
  const point = digits.length - decimals;
  const whole = BigInt(digits.slice(0, point));
  let fraction = digits.slice(point);
  // Dust beside whole coins tells nothing.
  if (whole > 0n) fraction = fraction.slice(0, 4);
  fraction = fraction.replace(/0+$/, "");
  return `${whole.toLocaleString("en")}${fraction && `.${fraction}`} ${symbol}`;
}

function duration(seconds) {
  const parts = [
    [Math.floor(seconds / 3600), "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ].filter(([count]) => count > 0);
  return parts.slice(0, 2).map(([count, unit]) => `${count} ${unit}`).join(" ") || "0 s";
}

function show(node, visible) {
  node.hidden = !visible;
}

// Tells it to who does not see the page.
function announce(text) {
  element("announcement").textContent = text;
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

// ---------------------------------------------------------------- how the faucet is

const CONDITIONS = {
  ok: "The faucet works.",
  empty: "The faucet is empty: claims wait until it is filled again.",
  unfunded: "The faucet has never held coins: claims wait until it is filled.",
  broken: "The faucet is out of step with its chain and sorts it out: claims wait meanwhile.",
  unknown: "The faucet has not heard from its chain yet: claims wait meanwhile.",
  disabled: "The faucet is set to send nothing.",
};

// The last answer of GET /v1/status.
let faucet;

async function watchStatus() {
  for (let resumed = false; ; ) {
    try {
      faucet = await request("status");
      showStatus();
      if (!resumed) resume();
      resumed = true;
      await prepareForm();
      await pause(STATUS_EVERY);
    } catch (error) {
      showCondition("unknown", `${error.message} Asking again …`);
      await pause(error.retryAfter ?? STATUS_RETRY);
    }
  }
}

function showStatus() {
  const { name, amount, budget, queue } = faucet;
  document.title = `Faucet ${name}`;
  element("network").textContent = name;
  element("amount").textContent = coins(amount, faucet);
  element("submit-amount").textContent = coins(amount, faucet);
  element("waiting").textContent = queue.waiting.toLocaleString("en");
  show(element("facts"), true);

  const spent = BigInt(budget.left) < BigInt(amount);
  const resets = new Date(budget.resets_time).toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  element("budget").textContent = spent
    ? `nothing until ${resets}`
    : `${coins(budget.left, faucet)} of ${coins(budget.daily, faucet)}`;
  if (spent && faucet.status === "ok") {
    showCondition("empty", `Today’s budget is spent: the next begins at ${resets}.`);
  } else {
    const reason = faucet.reason ? ` (${faucet.reason})` : "";
    showCondition(faucet.status, (CONDITIONS[faucet.status] ?? CONDITIONS.unknown) + reason);
  }
}

function showCondition(condition, text) {
  const node = element("condition");
  node.dataset.condition = condition;
  if (node.textContent !== text) {
    node.textContent = text;
    announce(text);
  }
}

// Once it is known what is demanded, the form can be filled in.
async function prepareForm() {
  if (!element("fields").disabled) return;
  show(element("work-hint"), faucet.proof_of_work !== null && faucet.captcha === null);
  if (faucet.captcha) await loadCaptcha(faucet.captcha);
  element("fields").disabled = false;
}

// ---------------------------------------------------------------- captcha

const captcha = { api: undefined, widget: undefined, token: "", solve: undefined };

// All three providers have the same calls, under names of their own. With an action,
// reCAPTCHA is the one that judges without a widget.
async function loadCaptcha({ provider, site_key, action }) {
  const { script, api } = CAPTCHAS[provider];
  const withoutWidget = provider === "recaptcha" && action;
  await new Promise((resolve, reject) => {
    window.captchaLoaded = resolve;
    const tag = document.createElement("script");
    tag.src = `${script}?onload=captchaLoaded&render=${withoutWidget ? encodeURIComponent(site_key) : "explicit"}`;
    tag.async = true;
    const fail = () => {
      tag.remove();
      reject(new Trouble("The captcha cannot be loaded: is it blocked here?"));
    };
    tag.onerror = fail;
    setTimeout(fail, TIMEOUT * 1000);
    document.head.append(tag);
  });
  captcha.api = window[api];
  if (withoutWidget) {
    captcha.solve = () => captcha.api.execute(site_key, { action });
    return;
  }
  show(element("captcha"), true);
  captcha.widget = captcha.api.render(element("captcha"), {
    sitekey: site_key,
    theme: matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light",
    callback: (token) => {
      captcha.token = token;
    },
    "expired-callback": () => {
      captcha.token = "";
    },
    ...(action && { action }),
  });
  captcha.solve = async () => captcha.token;
}

// What the captcha gave, or nothing: then it is said why.
async function captchaToken() {
  element("fields").disabled = true;
  try {
    const token = await captcha.solve();
    if (!token) raise("The captcha is not solved yet.");
    return token;
  } catch {
    raise("The captcha does not answer: try again.");
  } finally {
    element("fields").disabled = false;
  }
}

// A token is good for one claim.
function resetCaptcha() {
  captcha.token = "";
  if (captcha.widget !== undefined) captcha.api.reset(captcha.widget);
}

// ---------------------------------------------------------------- proof of work

// What to send for the challenge that the faucet sets: `<challenge>:<nonce>`.
async function solveChallenge(address, signal) {
  const { challenge, bits } = await request(`challenge?address=${encodeURIComponent(address)}`, { signal });
  say("Your browser works on the puzzle …");
  element("work-progress").value = 0;
  show(element("work"), true);
  const worker = new Worker(new URL("faucet/worker.js", document.baseURI));
  try {
    return await new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
      worker.onerror = () => reject(new Error("The puzzle cannot be worked on in this browser."));
      worker.onmessage = ({ data: { tries, response } }) => {
        if (response) resolve(response);
        // How likely it was to be solved by now.
        else element("work-progress").value = 1 - Math.exp(-tries / 2 ** bits);
      };
      worker.postMessage({ challenge, bits });
    });
  } finally {
    worker.terminate();
    show(element("work"), false);
  }
}

// ---------------------------------------------------------------- a claim

// `{key, address, response, id}`: the response where one is demanded and known, the
// claim's id once the faucet has accepted it.
const pending = {
  read: () => JSON.parse(sessionStorage.getItem(PENDING)),
  write: (claim) => sessionStorage.setItem(PENDING, JSON.stringify(claim)),
  forget: () => sessionStorage.removeItem(PENDING),
};

// Ends whatever is under way.
let running = new AbortController();

async function run(claim) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  clearAlert();
  openClaim(claim);
  try {
    if (claim.id || (await askFor(claim, signal))) await follow(claim, signal);
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof Refusal) {
      pending.forget();
      closeClaim();
      refuse(error);
    } else {
      stuck(error);
    }
  }
}

// Asks until it is known that the faucet has the claim, and tells whether it has.
async function askFor(claim, signal) {
  showSteps("asked");
  let solveAgain = true;
  for (let tries = 1; ; tries++) {
    try {
      if (!claim.response && faucet.proof_of_work && !faucet.captcha) {
        claim.response = await solveChallenge(claim.address, signal);
      }
      // Before it is sent: what is kept is what the faucet knows the key by.
      pending.write(claim);
      say("Asking for the coins …");
      const { address, response } = claim;
      const accepted = await request("claim", {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          "Idempotency-Key": claim.key,
          Prefer: "respond-async",
        },
        body: JSON.stringify({ address, response }),
        signal,
      });
      if (accepted.hash === "SendDisabled") {
        pending.forget();
        showSteps("accepted", "failed");
        end("This faucet is set to send nothing: no coins are on their way.");
        return false;
      }
      claim.id = accepted.claim_id;
      pending.write(claim);
      return true;
    } catch (error) {
      if (error.code === "ChallengeInvalid" && solveAgain) {
        // It has expired, as after a long sleep of this computer.
        solveAgain = false;
        delete claim.response;
      } else if (error instanceof Trouble && tries < TRIES) {
        say(`${error.message} Asking again …`);
        await pause(error.retryAfter ?? 2 ** (tries - 1), signal);
      } else {
        throw error;
      }
    }
  }
}

// Looks at the claim until nothing more becomes of it.
async function follow(claim, signal) {
  for (let looks = 1; ; looks++) {
    let seen;
    try {
      seen = await request(`claims/${encodeURIComponent(claim.id)}`, { signal });
    } catch (error) {
      if (!(error instanceof Trouble) && error.status !== 429) throw error;
      say(`${error.message} Asking again …`);
      await pause(error.retryAfter ?? STATUS_RETRY, signal);
      continue;
    }
    const ended = showClaim(seen);
    if (ended) return;
    await pause(looks < FIRST_LOOKS ? LOOK_EVERY : LOOK_LATER_EVERY, signal);
  }
}

// Why a claim waits, or came to nothing.
const REASONS = {
  waiting: "the claim waits for its turn",
  faucet_empty: "the faucet is empty, and the claim waits until it is filled again",
  chain_unavailable: "the chain cannot be reached, and the claim waits until it can",
  fee_too_high: "the chain’s fees are too high now, and the claim waits until they fall",
  account_unknown: "the faucet has never held coins, and the claim waits until it is filled",
  retrying: "a first try came to nothing, and the claim is paid anew",
  transfer_impossible: "the chain cannot transfer coins to this address",
  transfer_failed: "the chain refused the transfer each time",
  not_paid_in_time: "the faucet could not pay it in time",
};

// Shows what the faucet says of a claim, and tells whether that is the end of it.
function showClaim({ status, reason, message, amount, hash, height }) {
  const why = REASONS[reason] ?? reason ?? message;
  showHash(hash);
  // A block that the chain takes back takes its number back.
  element("step-committed").textContent = height ? `In block ${height}` : "In a block";
  switch (status) {
    case "queued":
      showSteps("accepted");
      say(`Accepted: ${why}.`);
      return false;
    case "sent":
      showSteps("sent");
      say("Sent: the transaction waits for its block.");
      return false;
    case "committed":
      showSteps("committed");
      say(`In block ${height}: ${coins(amount, faucet)} arrived. The claim waits until the block is final.`);
      return false;
    case "paid":
      showSteps("paid", "done");
      say(`${coins(amount, faucet)} arrived in block ${height}.`);
      element("claim").dataset.ended = "paid";
      element("restart").textContent = "Claim again";
      return true;
    case "failed":
      showSteps(hash ? "committed" : "sent", "failed");
      end(`The claim failed: ${why}. No coins arrived.`);
      return true;
    case "expired":
      showSteps("sent", "failed");
      end(`The claim expired: ${why}. No coins arrived.`);
      return true;
    default:
      say(sentence(why));
      return false;
  }
}

// ---------------------------------------------------------------- what is on the page

function say(text) {
  const node = element("message");
  if (node.textContent !== text) {
    node.textContent = text;
    announce(text);
  }
}

// All steps before this one are done; this one is under way, unless told otherwise.
function showSteps(step, state = "current") {
  const reached = STEPS.indexOf(step);
  STEPS.forEach((name, index) => {
    const node = element(`step-${name}`);
    node.dataset.state = index < reached ? "done" : index === reached ? state : "ahead";
    if (index === reached) node.setAttribute("aria-current", "step");
    else node.removeAttribute("aria-current");
  });
}

function showHash(hash) {
  show(element("transaction"), Boolean(hash));
  element("hash").textContent = hash ?? "";
}

function openClaim({ address }) {
  const claim = element("claim");
  delete claim.dataset.ended;
  element("claim-address").textContent = address;
  element("restart").textContent = "Start over";
  element("message").textContent = "";
  showHash();
  show(element("retry"), false);
  show(element("form"), false);
  show(claim, true);
  element("claim-title").focus();
}

function closeClaim() {
  show(element("claim"), false);
  show(element("form"), true);
}

// A claim that came to nothing.
function end(text) {
  element("message").textContent = "";
  element("claim").dataset.ended = "failed";
  raise(text);
}

// The faucet will not. The form is there again, with what was typed.
function refuse(error) {
  resetCaptcha();
  if (error.code === "AddressInvalid") {
    flagAddress(error.message);
  } else {
    raise(error.message, error.retryAfter);
    element("alert").focus();
  }
}

// The same claim can be asked for again, whether or not the faucet has it.
function stuck(error) {
  element("message").textContent = "";
  show(element("retry"), true);
  raise(`${error.message} To try again is safe: a claim is paid once.`);
  element("retry").focus();
}

function flagAddress(text) {
  element("address-error").textContent = text;
  show(element("address-error"), true);
  element("address").setAttribute("aria-invalid", "true");
  element("address").focus();
}

function unflagAddress() {
  show(element("address-error"), false);
  element("address").removeAttribute("aria-invalid");
}

let countdown;

function clearAlert() {
  clearInterval(countdown);
  element("alert").replaceChildren();
}

// Says what is wrong and, where the faucet tells, from when on it may be tried again.
function raise(text, retryAfter) {
  clearAlert();
  const message = document.createElement("p");
  message.textContent = text;
  element("alert").append(message);
  if (!retryAfter) return;
  const wait = document.createElement("p");
  // Read out once, with the message, and not each second.
  wait.setAttribute("aria-live", "off");
  element("alert").append(wait);
  const until = Date.now() + retryAfter * 1000;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    if (left > 0) {
      wait.textContent = `You can try again in ${duration(left)}.`;
    } else {
      clearAlert();
      announce("You can try again now.");
    }
  };
  tick();
  countdown = setInterval(tick, 1000);
}

// ---------------------------------------------------------------- what a person does

// Not crypto.randomUUID, which a page over plain HTTP lacks.
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

element("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  unflagAddress();
  clearAlert();
  const address = element("address").value.trim();
  if (!address) return flagAddress("An address is needed.");
  let response;
  if (faucet.captcha) {
    response = await captchaToken();
    if (!response) return element("captcha").focus();
  }
  const claim = { key: newKey(), address, response };
  pending.write(claim);
  await run(claim);
});

element("address").addEventListener("input", unflagAddress);

element("retry").addEventListener("click", () => run(pending.read()));

element("restart").addEventListener("click", () => {
  running.abort();
  pending.forget();
  clearAlert();
  resetCaptcha();
  closeClaim();
  element("address").focus();
  element("address").select();
});

element("copy").addEventListener("click", async () => {
  const hash = element("hash");
  try {
    await navigator.clipboard.writeText(hash.textContent);
    announce("Copied.");
    element("copy").textContent = "Copied";
    setTimeout(() => {
      element("copy").textContent = "Copy";
    }, 2000);
  } catch {
    // Not allowed here: selected, it is one key away.
    getSelection().selectAllChildren(hash);
  }
});

// ---------------------------------------------------------------- the beginning

// Goes on with the claim of before a reload.
function resume() {
  const claim = pending.read();
  if (!claim) return;
  element("address").value = claim.address;
  run(claim);
}

show(element("now"), true);
show(element("form"), true);
showCondition("unknown", "Asking the faucet how it is …");
watchStatus();
