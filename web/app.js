// The page: what is on the air, the picture of it, and in plain words what happens.

import { Call } from "./call.js";
import { Controls } from "./controls.js";
import { Details } from "./details.js";
import { Flow } from "./flow.js";
import { Signaling } from "./signaling.js";
import { Watcher } from "./watcher.js";
import { describe } from "./words.js";

const element = (id) => document.getElementById(id);
const root = document.documentElement;
const video = element("video");
const details = new Details(element("facts"));
const controls = new Controls(element("controls"));

// The token, and perhaps a room, stand behind the #, which no server is ever sent.
const address = new URLSearchParams(location.hash.slice(1));
const signaling = new Signaling(address.get("t") ?? "", address.get("room"));
const watcher = new Watcher(signaling);
const call = new Call(signaling, element("call"), element("own"), element("call-message"));
let flow = null;
let connected = false;
// Whether a person wants no sound.
let quiet = false;
let refused = false; // by the browser, to begin with sound

// What happens.

watcher.addEventListener("change", () => {
  if (watcher.session === null) forget();
  const open = signaling.state === "open";
  // Pictures go on without the server; where it was one with the peer they do not.
  if (connected && !open) flow?.glance();
  connected = open;
  show();
});

watcher.addEventListener("session", ({ detail: session }) => {
  forget();
  flow = new Flow(session, video);
  flow.addEventListener("sample", ({ detail: sample }) => flow?.state === "fresh" && details.show(sample));
  flow.addEventListener("change", () => {
    if (flow.state === "fresh") watcher.arrives();
    else details.clear();
    show();
  });
  session.addEventListener("track", ({ detail: { track, streams } }) => {
    receive(session, track, streams[0] ?? new MediaStream([track]));
  });
  session.addEventListener("control", ({ detail: channel }) => controls.attach(channel));
});

function forget() {
  flow?.stop();
  flow = null;
  details.clear();
  controls.detach();
}

function receive(session, track, stream) {
  const former = video.srcObject;
  const goesOn = former?.getTracks().some((one) => one !== track && Object.values(session.tracks).includes(one) && one.readyState === "live");
  if (goesOn) {
    // Firefox leaves ended tracks in the stream, and would go on showing them.
    for (const one of former.getTracks()) if (one.readyState === "ended") former.removeTrack(one);
    former.addTrack(track);
  } else {
    video.srcObject = stream;
  }
  if (track.kind === "video") controls.refresh();
  play();
}

// What is shown.

function show() {
  const { session, meta, ended, seen } = watcher;
  const { state, title, text, fresh } = describe({
    signaling: signaling.state,
    reachable: signaling.state === "open" && session !== null && signaling.knows(session),
    session: session?.state ?? null,
    ended,
    producer: meta,
    doing: session?.doing ?? {},
    flow: flow?.state ?? "none",
    seen,
    silent: video.muted,
  });
  root.dataset.state = state;
  root.dataset.picture = fresh ? "fresh" : "stale";
  say("status-text", title);
  element("notice").hidden = text === null;
  element("controls").inert = ["ended", "waiting"].includes(state);
  element("token-form").hidden = state !== "unauthorized";
  if (text !== null) {
    say("notice-title", title);
    say("notice-text", text);
  }
  showProducers();
}

function say(id, text) {
  // What is said again is read out again.
  if (element(id).textContent !== text) element(id).textContent = text;
}

function showProducers() {
  const nav = element("producers");
  const { producers } = signaling;
  nav.hidden = producers.size < 2;
  const buttons = new Map([...nav.children].map((button) => [button.dataset.id, button]));
  for (const [id, button] of buttons) if (!producers.has(id)) button.remove();
  for (const [id, meta] of producers) {
    const button = buttons.get(id) ?? nav.appendChild(producerButton(id));
    button.textContent = meta.label ?? id;
    button.setAttribute("aria-current", String(id === watcher.producer));
  }
  const { meta } = watcher;
  const label = meta?.tracks?.find((track) => track.kind === "video")?.label;
  if (meta !== null) say("title", label ?? meta.label ?? "Live");
  document.title = `${element("title").textContent} – live`;
}

function producerButton(id) {
  const button = document.createElement("button");
  button.dataset.id = id;
  button.addEventListener("click", () => watcher.choose(id));
  return button;
}

// Sound: wanted, but browsers let a page begin with it only after a click.
async function play() {
  video.muted = quiet || refused;
  try {
    await video.play();
  } catch (error) {
    if (error.name !== "NotAllowedError" || refused) return; // another stream, or call, took its place
    refused = true;
    element("sound-on").hidden = false;
    await play();
    return;
  }
  showSound();
}

function showSound() {
  element("mute").setAttribute("aria-pressed", String(!video.muted));
  if (!video.muted) element("sound-on").hidden = true;
  show();
}

// What a person does.

function toggleSound() {
  video.muted = quiet = !video.muted;
  refused = false;
  showSound();
}

function toggleDetails() {
  const open = element("details").hidden;
  element("details").hidden = !open;
  element("info").setAttribute("aria-expanded", String(open));
}

function toggleFullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else element("stage").requestFullscreen();
}

function togglePictureInPicture() {
  if (document.pictureInPictureElement) document.exitPictureInPicture();
  else video.requestPictureInPicture();
}

const keys = {
  m: ["mute", toggleSound],
  f: ["fullscreen", toggleFullScreen],
  p: ["pip", togglePictureInPicture],
  i: ["info", toggleDetails],
  c: ["call", () => call.toggle()],
};

for (const [id, action] of Object.values(keys)) element(id).addEventListener("click", action);
element("sound-on").addEventListener("click", toggleSound);
element("fullscreen").hidden = !document.fullscreenEnabled;
element("pip").hidden = !document.pictureInPictureEnabled;
document.addEventListener("keydown", (event) => {
  if (event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) return;
  const [id, action] = keys[event.key.toLowerCase()] ?? [];
  if (id === undefined || element(id).hidden) return;
  event.preventDefault();
  action();
});
element("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = element("token").value.trim();
  address.set("t", token);
  history.replaceState(null, "", `#${address}`);
  signaling.connect(token);
});

// The machine it runs on.

addEventListener("online", () => signaling.probe());
document.addEventListener("visibilitychange", () => document.hidden || signaling.probe());
addEventListener("pagehide", () => {
  call.end();
  watcher.close();
  signaling.close();
});
addEventListener("pageshow", (event) => event.persisted && signaling.connect());
signaling.connect();
