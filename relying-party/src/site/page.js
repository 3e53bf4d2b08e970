"use strict";
const $ = id => document.getElementById(id);
const view = name => { document.body.dataset.view = name; if (name !== "welcome") stopConditional(); };
const say = (text, tone = "good") => { const m = $("message"); m.textContent = text; m.dataset.tone = tone; };

const toBytes = text => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), c => c.charCodeAt(0));
const toText = bytes => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

async function ask(endpoint, body) {
  const get = body === undefined;
  const reply = await fetch("/api/" + endpoint, get ? {} : {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body),
  });
  const answer = await reply.json();
  if (!reply.ok) throw Object.assign(new Error(answer.why || "The site failed."), {status: reply.status});
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

// The site keeps one open challenge a session, so an offer that is being made must have ended
// before another attempt begins.
let conditional = null, offering = Promise.resolve();
function stopConditional() { if (conditional) { conditional.abort(); conditional = null; } return offering; }
function startConditional() { offering = offer(); }

async function offer() {
  if (!window.PublicKeyCredential || !PublicKeyCredential.isConditionalMediationAvailable) return;
  if (!await PublicKeyCredential.isConditionalMediationAvailable()) return;
  const mine = conditional = new AbortController();
  try {
    const options = await ask("sign-in/options", {});
    if (conditional !== mine) return;
    const c = await navigator.credentials.get({publicKey: request(options.publicKey), mediation: "conditional", signal: mine.signal});
    if (c) await decided(await ask("sign-in/verify", credentialJson(c)));
  } catch (error) {
    if (conditional === mine && error.name !== "AbortError") conditional = null;
  }
}

async function decided(decision) {
  document.body.dataset.decision = JSON.stringify(decision);
  say(decision.why, decision.signed_in ? "good" : "warn");
  if (decision.step_up_required) { $("code").value = ""; view("step-up"); $("code").focus(); }
  else await showAccount();
}

const day = seconds => new Date(seconds * 1000).toLocaleString();
function element(tag, attributes, ...children) {
  const e = Object.assign(document.createElement(tag), attributes);
  e.append(...children);
  return e;
}

async function showAccount() {
  const account = await ask("account");
  $("who").textContent = account.user;
  $("passkeys").replaceChildren(...account.passkeys.map(p => {
    const groups = p.groups.map(g => {
      const forget = element("button", {className: "small", textContent: "Forget this trust group"});
      forget.onclick = guarded(async () => { say((await ask("forget-group", {key: g.key})).why); await showAccount(); });
      const seen = element("span", {className: "quiet", textContent: `first seen ${day(g.first_seen)}, last ${day(g.last_seen)}` + (g.evidence ? `; vouched for by ${g.evidence}` : "")});
      const row = element("div", {className: "group"}, element("code", {textContent: g.key}), element("span", {}, element("span", {className: "badge", textContent: g.trust === "trusted" ? "trusted" : "not trusted"})), forget, element("span"), seen);
      row.dataset.group = g.key; row.dataset.trust = g.trust;
      return row;
    });
    const none = element("p", {className: "quiet", textContent: "This passkey names no trust group."});
    return element("div", {className: "passkey"},
      element("strong", {textContent: `Passkey ${p.id.slice(0, 8)}…`}), " ",
      element("span", {className: "quiet", textContent: `made ${day(p.created_at)}, last used ${day(p.last_used)}${p.synced ? ", synced" : ""}`}),
      ...(groups.length ? groups : [none]));
  }));
  view("account");
}

function guarded(action) {
  return async () => {
    await stopConditional();
    const buttons = document.querySelectorAll("button");
    buttons.forEach(b => b.disabled = true);
    try { await action(); }
    catch (error) {
      const told = {InvalidStateError: "There is a passkey for this account on that device already: sign in with it.", NotAllowedError: "Cancelled, or it took too long."};
      say(told[error.name] || error.message, "bad");
      if (document.body.dataset.view === "welcome") startConditional();
    }
    finally { buttons.forEach(b => b.disabled = false); }
  };
}

async function register(endpoint, body) {
  const options = await ask(endpoint, body);
  const c = await navigator.credentials.create({publicKey: creation(options.publicKey)});
  await decided(await ask("register/verify", credentialJson(c)));
}

function welcome() { view("welcome"); startConditional(); }

$("register").onclick = guarded(async () => {
  const username = $("username").value.trim();
  if (!username) { $("username").focus(); throw new Error("Choose a user name first."); }
  await register("register/options", {username});
});
$("sign-in").onclick = guarded(async () => {
  const options = await ask("sign-in/options", {username: $("username").value.trim()});
  const c = await navigator.credentials.get({publicKey: request(options.publicKey)});
  await decided(await ask("sign-in/verify", credentialJson(c)));
});
$("confirm-code").onclick = guarded(async () => decided(await ask("step-up", {code: $("code").value})));
$("cancel").onclick = guarded(async () => { say(""); welcome(); });
$("add").onclick = guarded(async () => register("register/options", {username: $("who").textContent}));
$("reset").onclick = guarded(async () => register("reset-passkeys/options", {}));
$("sign-out").onclick = guarded(async () => { await ask("sign-out", {}); say(""); welcome(); });
$("username").onkeydown = e => { if (e.key === "Enter") $("sign-in").click(); };
$("code").onkeydown = e => { if (e.key === "Enter") $("confirm-code").click(); };

showAccount().catch(welcome);
