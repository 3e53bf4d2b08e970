"use strict";
// A challenge lives for ten minutes; the one behind an offered passkey is changed well before.
const REFRESH = 5 * 60 * 1000;
const SHORTEST_PAUSE = 1000, LONGEST_PAUSE = 60 * 1000;

const $ = id => document.getElementById(id);
const pause = time => new Promise(done => setTimeout(done, time));
const say = (text, tone = "good") => { const m = $("message"); m.textContent = text; m.dataset.tone = tone; };
const tell = error => say({
  InvalidStateError: "There is a passkey for this account on that device already: sign in with it.",
  NotAllowedError: "Cancelled, or it took too long.",
}[error.name] || error.message, "bad");

/** Shows a part of the page, and takes those who do not see it there. */
function view(name) {
  const before = document.body.dataset.view;
  document.body.dataset.view = name;
  if (before && before !== name) $(name + "-title").focus();
}

const toBytes = text => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), c => c.charCodeAt(0));
const toText = bytes => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

async function ask(endpoint, body) {
  const get = body === undefined;
  const reply = await fetch("/api/" + endpoint, get ? {} : {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body),
  }).catch(() => { throw new Error("The site does not answer."); });
  const answer = await reply.json().catch(() => ({}));
  if (!reply.ok) throw Object.assign(new Error(answer.why || "The site failed."), {status: reply.status, rule: answer.rule});
  return answer;
}

// Older browsers lack the JSON helpers of WebAuthn Level 3, and some of those that have them drop
// extensions that they do not know by name: so options are read here.
const descriptors = list => (list || []).map(d => ({...d, id: toBytes(d.id)}));
const creation = o => ({...o, challenge: toBytes(o.challenge), user: {...o.user, id: toBytes(o.user.id)}, excludeCredentials: descriptors(o.excludeCredentials)});
const request = o => ({...o, challenge: toBytes(o.challenge), allowCredentials: descriptors(o.allowCredentials)});

function credentialJson(c) {
  const r = c.response, response = {clientDataJSON: toText(r.clientDataJSON)};
  if (r.attestationObject) {
    response.attestationObject = toText(r.attestationObject);
    response.transports = r.getTransports ? r.getTransports() : [];
  } else {
    response.authenticatorData = toText(r.authenticatorData);
    response.signature = toText(r.signature);
    if (r.userHandle) response.userHandle = toText(r.userHandle);
  }
  const results = {}, given = c.getClientExtensionResults();
  if (given.credProps) results.credProps = given.credProps;
  if (given.cmtgKey) results.cmtgKey = {cmtgKey: toText(given.cmtgKey.cmtgKey), signature: toText(given.cmtgKey.signature)};
  return {id: c.id, rawId: toText(c.rawId), type: c.type, authenticatorAttachment: c.authenticatorAttachment, clientExtensionResults: results, response};
}

/** Tells the passkey's keeper what the site knows, if the browser can; nothing depends on it. */
function signal(call, what) {
  if (!window.PublicKeyCredential || !PublicKeyCredential[call]) return;
  PublicKeyCredential[call](what).catch(() => {});
}

async function signIn(body, how) {
  const {publicKey} = await ask("sign-in/options", body);
  const c = await navigator.credentials.get({...how, publicKey: request(publicKey)});
  return () => verify(publicKey.rpId, c);
}

async function verify(rpId, c) {
  try {
    await decided(await ask("sign-in/verify", credentialJson(c)));
  } catch (error) {
    if (error.rule === "CredentialUnknown") signal("signalUnknownCredential", {rpId, credentialId: c.id});
    throw error;
  }
}

async function register(endpoint, body) {
  const {publicKey} = await ask(endpoint, body);
  const c = await navigator.credentials.create({publicKey: creation(publicKey)});
  await decided(await ask("register/verify", credentialJson(c)));
}

// Passkeys are offered in the name field as long as the page waits there. The site keeps one open
// challenge a session, so an offer must have ended before another attempt begins.
let offered = null, offering = Promise.resolve();
function startOffer() { offered = {}; offering = offer(offered); }
function stopOffer() {
  if (offered && offered.round) offered.round.abort();
  offered = null;
  return offering;
}

async function offer(mine) {
  const able = window.PublicKeyCredential && PublicKeyCredential.isConditionalMediationAvailable;
  if (!able || !await PublicKeyCredential.isConditionalMediationAvailable()) return;
  let wait = SHORTEST_PAUSE;
  while (offered === mine) {
    const round = mine.round = new AbortController();
    const stale = setTimeout(() => round.abort(), REFRESH);
    try {
      const picked = await signIn({}, {mediation: "conditional", signal: round.signal});
      clearTimeout(stale);
      return await picked();
    } catch (error) {
      clearTimeout(stale);
      if (offered !== mine) return;
      if (round.signal.aborted) { wait = SHORTEST_PAUSE; continue; }
      // Who changes his mind before a passkey is picked need not be told.
      if (error.name !== "NotAllowedError") tell(error);
      await pause(wait);
      wait = Math.min(2 * wait, LONGEST_PAUSE);
    }
  }
}

async function decided(decision) {
  document.body.dataset.decision = JSON.stringify(decision);
  if (!decision.step_up_required) { say(decision.why); return showAccount(); }
  say("");
  $("step-up-why").textContent = decision.why;
  $("code").value = "";
  view("step-up");
  $("code").focus();
}

const moment = new Intl.DateTimeFormat(undefined, {dateStyle: "medium", timeStyle: "short"});
const day = seconds => moment.format(seconds * 1000);
function element(tag, attributes, ...children) {
  const e = Object.assign(document.createElement(tag), attributes);
  e.append(...children);
  return e;
}
const badge = (text, kind) => element("span", {className: "badge " + kind, textContent: text});
const facts = parts => element("p", {className: "quiet facts"}, ...parts.filter(Boolean).map(part => element("span", {textContent: part})));

const VOUCHED = {registration: "vouched for by your registration", "step-up": "vouched for by a one-time code"};
function groupRow(g) {
  const forget = element("button", {className: "small", textContent: "Forget this trust group", ariaLabel: `Forget this trust group, ${g.key}`});
  forget.onclick = guarded(async () => { say((await ask("forget-group", {key: g.key})).why); await showAccount(); });
  const title = element("span", {className: "title"}, "Trust group ", element("code", {textContent: g.key}), " ", g.trust === "trusted" ? badge("trusted", "good") : badge("not trusted", "warn"));
  if (g.here) title.append(" ", badge("this session", ""));
  const seen = facts([VOUCHED[g.evidence], `first seen ${day(g.first_seen)}`, `last seen ${day(g.last_seen)}`]);
  const row = element("li", {className: "group"}, element("div", {}, title, seen), forget);
  row.dataset.group = g.key; row.dataset.trust = g.trust;
  return row;
}

function passkeyEntry(p) {
  const made = facts([p.synced && "synced", `made ${day(p.created_at)}`, `last used ${day(p.last_used)}`]);
  const groups = p.groups.length
    ? element("ul", {}, ...p.groups.map(groupRow))
    : element("p", {className: "quiet", textContent: "No trust group to show."});
  return element("div", {className: "passkey"},
    element("h3", {}, "Passkey ", element("code", {textContent: p.id.slice(0, 8) + "…"})),
    made, groups);
}

async function showAccount() {
  const account = await ask("account");
  $("who").textContent = account.user;
  $("passkeys").replaceChildren(...account.passkeys.map(passkeyEntry));
  view("account");
  // After a reset the others are gone; and a good passkey that was hidden by mistake comes back.
  const ids = account.passkeys.map(p => p.id);
  signal("signalAllAcceptedCredentials", {rpId: account.rp_id, userId: account.user_id, allAcceptedCredentialIds: ids});
}

function welcome() { view("welcome"); startOffer(); }

/** Does one thing at a time, and says what went wrong. */
function guarded(action) {
  return async () => {
    const before = document.body.dataset.view, focused = document.activeElement;
    const buttons = [...document.querySelectorAll("button")];
    buttons.forEach(b => b.disabled = true);
    try {
      await stopOffer();
      // A passkey that was picked meanwhile has been let in.
      if (document.body.dataset.view === before) await action();
    } catch (error) {
      tell(error);
      // The session has ended, or the code may not be tried any more.
      if (error.status === 401 || before === "step-up" && error.status === 409) return welcome();
      if (document.body.dataset.view === "welcome") startOffer();
    } finally {
      buttons.forEach(b => b.disabled = false);
      // A button that was disabled has lost the focus, and one that is gone cannot get it back.
      if (document.body.dataset.view === before && document.activeElement === document.body) (focused.isConnected ? focused : $(before + "-title")).focus();
    }
  };
}

function onSubmit(form, action) {
  const act = guarded(action);
  $(form).onsubmit = event => { event.preventDefault(); act(); };
}

onSubmit("welcome", async () => (await signIn({username: $("username").value.trim()}))());
onSubmit("step-up", async () => {
  try { await decided(await ask("step-up", {code: $("code").value})); }
  catch (error) { $("code").select(); throw error; }
});
$("register").onclick = guarded(async () => {
  const username = $("username").value.trim();
  if (!username) { $("username").focus(); throw new Error("Choose a user name first."); }
  await register("register/options", {username});
});
$("cancel").onclick = guarded(async () => { say(""); welcome(); });
$("add").onclick = guarded(async () => register("register/options", {username: $("who").textContent}));
$("reset").onclick = guarded(async () => register("reset-passkeys/options", {}));
$("sign-out").onclick = guarded(async () => { await ask("sign-out", {}); say(""); welcome(); });

if (window.PublicKeyCredential) showAccount().catch(welcome);
else { say("This browser has no passkeys here. Take another one, and open the site by HTTPS or on localhost.", "bad"); view("welcome"); }
