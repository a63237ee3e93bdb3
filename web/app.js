// The page: what is on the air, the picture of it, and in plain words what happens.

import { Controls } from "./controls.js";
import { Details } from "./details.js";
import { Statistics } from "./stats.js";
import { WhepError, WhepSession } from "./whep.js";

const SAMPLE_INTERVAL = 1000;
// Two seconds without a picture are no hiccup of the network any more. A peer whose camera is gone
// still sends a black picture each second.
const STALE_SAMPLES = 2;
const STALE_PICTURES = 2;
// A camera that is covered delivers black at full rate: ask now and then.
const STATE_SAMPLES = 3;
const RETRY_FIRST = 500;
const RETRY_MOST = 10000;

const element = (id) => document.getElementById(id);
const root = document.documentElement;
const video = element("video");
const details = new Details(element("facts"));
const controls = new Controls(element("controls"));

let token = new URLSearchParams(location.hash.slice(1)).get("t") ?? "";
let mayControl = false;
let producer = null;
let session = null;
let retries = 0;
let retryTimer = 0;

// States: connecting, live, ended, reconnecting, unauthorized, waiting, failed.
function show(state, text, notice = null) {
  root.dataset.state = state;
  element("status-text").textContent = text;
  element("notice").hidden = notice === null;
  element("token-form").hidden = state !== "unauthorized";
  if (notice !== null) {
    element("notice-title").textContent = text;
    element("notice-text").textContent = notice;
  }
  root.dataset.picture = state === "live" ? "fresh" : "stale";
}

async function listProducers() {
  const response = await fetch("/api/producers", {
    headers: token ? { Authorization: `Bearer ${token}` } : {},
  });
  if (!response.ok) throw new WhepError(response.status, response.statusText, 0);
  const answer = await response.json();
  mayControl = answer.mayControl === true;
  return answer.producers;
}

async function connect() {
  clearTimeout(retryTimer);
  session?.close();
  session = null;
  controls.detach();
  show(retries ? "reconnecting" : "connecting", retries ? "Reconnecting" : "Connecting", "");
  const mine = new WhepSession(token);
  session = mine;
  try {
    const producers = await listProducers();
    producer = producers.find((one) => one.id === producer?.id) ?? producers[0] ?? null;
    showProducers(producers);
    if (producer === null) throw new WhepError(409, "Nothing is on the air.", 2);
    const stream = new MediaStream();
    mine.addEventListener("track", ({ detail: track }) => receive(mine, stream, track));
    mine.addEventListener("closed", () => retry("Connection lost", "The other side closed the connection, or can't be reached."));
    mine.addEventListener("control", ({ detail: channel }) => {
      if (session === mine) controls.attach(channel);
    });
    await mine.start(`/whep/${encodeURIComponent(producer.id)}`, mayControl);
    video.srcObject = stream;
    await play();
    watch(mine);
  } catch (error) {
    mine.close();
    if (session === mine) explain(error);
  }
}

function receive(mine, stream, track) {
  stream.addTrack(track);
  const noun = track.kind === "video" ? "picture" : "sound";
  track.addEventListener("ended", () => {
    if (session === mine) show("ended", `The ${noun} has ended`, "The device was unplugged or stopped.");
  });
}

function explain(error) {
  if (!(error instanceof WhepError)) {
    retry("Can't reach the peer", "It may have stopped, or the network is down.");
  } else if (error.status === 401) {
    show("unauthorized", "A token is needed", "Open the address that the peer printed, with everything after the #, or enter the token.");
  } else if (error.status === 409 || error.status === 404) {
    retry("Nothing to see yet", "The camera is not on the air at the moment.", "waiting", error.retryAfter);
  } else if (error.status === 429 || error.status === 503) {
    retry("Every place is taken", "Too many viewers are watching.", "waiting", error.retryAfter);
  } else {
    show("failed", "This browser can't receive the stream", error.message);
  }
}

function retry(text, notice, state = "reconnecting", seconds = 0) {
  retries += 1;
  const backoff = Math.min(RETRY_MOST, RETRY_FIRST * 2 ** Math.min(retries - 1, 6));
  // Jitter, so that a room full of viewers does not come back in one instant.
  const delay = Math.max(seconds * 1000, backoff * (0.75 + Math.random() / 2));
  show(state, text, `${notice} Trying again.`);
  clearTimeout(retryTimer);
  retryTimer = setTimeout(connect, delay);
}

function watch(mine) {
  const statistics = new Statistics();
  let empty = 0;
  let samples = 0;
  let reason = null;
  const timer = setInterval(async () => {
    if (session !== mine || mine.connection.connectionState === "closed") {
      clearInterval(timer);
      return;
    }
    const sample = await statistics.sample(mine.connection);
    if (sample === null || session !== mine) return;
    details.show(sample);
    if (root.dataset.state === "ended") return;
    empty = sample.hasVideo && sample.frames <= STALE_PICTURES ? empty + 1 : 0;
    samples += 1;
    if (empty >= STALE_SAMPLES || reason !== null || samples % STATE_SAMPLES === 0) {
      reason = await whyStopped(empty >= STALE_SAMPLES && sample.frames === 0);
    }
    if (session !== mine || root.dataset.state === "ended") return;
    if (reason !== null) {
      root.dataset.picture = "stale";
      element("status-text").textContent = reason;
    } else if (sample.frames > 0 || !sample.hasVideo) {
      live();
    }
  }, SAMPLE_INTERVAL);
}

// Why there is nothing to see; null when there is. none: whether no pictures come at all.
async function whyStopped(none) {
  let track = null;
  try {
    const mine = (await listProducers()).find((one) => one.id === producer.id);
    track = mine?.tracks?.find((one) => one.kind === "video");
  } catch (error) {
    if (!(error instanceof WhepError || error instanceof TypeError)) throw error;
    return none ? "The picture has stopped" : null;
  }
  if (track?.readyState === "ended") {
    return track.awaited ? "The camera is gone, waiting for it" : "The picture has ended";
  }
  if (track?.muted) return "The camera is switched off";
  return none ? "The picture has stopped" : null;
}

function live() {
  retries = 0;
  show("live", video.muted ? "Live, sound off" : "Live");
}

// Sound: wanted, but browsers let a page begin with it only after a click.
async function play() {
  video.muted = false;
  try {
    await video.play();
  } catch {
    video.muted = true;
    element("sound-on").hidden = false;
    await video.play();
  }
  showSound();
}

function showSound() {
  element("mute").setAttribute("aria-pressed", String(!video.muted));
  if (!video.muted) element("sound-on").hidden = true;
  if (root.dataset.state === "live") live();
}

function toggleSound() {
  video.muted = !video.muted;
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

function showProducers(producers) {
  const nav = element("producers");
  nav.hidden = producers.length < 2;
  nav.replaceChildren(
    ...producers.map((one) => {
      const button = document.createElement("button");
      button.textContent = one.label;
      button.setAttribute("aria-current", String(one.id === producer?.id));
      button.addEventListener("click", () => {
        producer = one;
        retries = 0;
        connect();
      });
      return button;
    }),
  );
  const label = producer?.tracks?.find((track) => track.kind === "video")?.label;
  element("title").textContent = label ?? producer?.label ?? "Live";
  document.title = `${element("title").textContent} – live`;
}

const keys = { m: toggleSound, f: toggleFullScreen, p: togglePictureInPicture, i: toggleDetails };

element("mute").addEventListener("click", toggleSound);
element("sound-on").addEventListener("click", toggleSound);
element("info").addEventListener("click", toggleDetails);
element("fullscreen").hidden = !document.fullscreenEnabled;
element("fullscreen").addEventListener("click", toggleFullScreen);
element("pip").hidden = !document.pictureInPictureEnabled;
element("pip").addEventListener("click", togglePictureInPicture);
document.addEventListener("keydown", (event) => {
  if (event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) return;
  const action = keys[event.key.toLowerCase()];
  if (action === undefined || element(action === togglePictureInPicture ? "pip" : "mute").hidden) return;
  event.preventDefault();
  action();
});
element("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = element("token").value.trim();
  history.replaceState(null, "", `#t=${encodeURIComponent(token)}`);
  connect();
});
video.addEventListener("loadeddata", live);
addEventListener("pagehide", () => session?.close());
addEventListener("pageshow", (event) => event.persisted && connect());
connect();
