// What is to be seen, or why not, in plain words (pure).

const AGAIN = "Trying again.";

// Why a session ended, or was not begun: the state that this is, a title, and a sentence.
const ENDS = {
  closed: ["reconnecting", "The other side has left", "It ended the stream in order."],
  failed: ["reconnecting", "Connection lost", "Nothing gets through between here and the other side."],
  lost: ["reconnecting", "Connection lost", "The other side can't be reached any more."],
  "not-live": ["waiting", "Nothing to see yet", "The camera is not on the air at the moment."],
  overloaded: ["waiting", "Every place is taken", "Too many viewers are watching."],
  unauthorized: ["waiting", "The permission was withdrawn", "The other side does not let you watch any more."],
};
const NOUNS = { video: ["picture", "camera"], audio: ["sound", "microphone"] };

// signaling: its state; reachable: whether the other side is, through it; session: its state, null
// for none; ended: why the last one was;
// producer: what it says of itself, null when none is there; doing: what the remote tracks do;
// flow: none (nothing has come yet), fresh or stalled; seen: whether there was anything before;
// silent: whether the page's own sound is off.
// Returns state, title, text (null: the picture speaks for itself), and whether it is fresh.
export function describe({ signaling, reachable, session, ended, producer, doing, flow, seen, silent }) {
  if (signaling === "unauthorized") {
    return told("unauthorized", "A token is needed", "Open the address that the peer printed, with everything after the #, or enter the token.");
  }
  if (session === null) return absent({ signaling, ended, producer, seen });
  if (session === "interrupted") return told(...ENDS.lost, AGAIN);
  const fate = (kind) => whatBecame(kind, doing[kind], described(producer, kind));
  const kind = doing.video || described(producer, "video") ? "video" : "audio";
  const main = fate(kind);
  if (main !== null) {
    const other = kind === "video" && doing.audio === "live" && fate("audio") === null;
    return told(main.state, main.title, main.text, other ? "The sound goes on." : "");
  }
  if (flow === "stalled") {
    if (!reachable) return told(...ENDS.lost, AGAIN);
    return told("stalled", `The ${NOUNS[kind][0]} has stopped`, "Nothing arrives at the moment.");
  }
  if (flow === "none") {
    return seen && session === "connected" ? told("reconnecting", `The ${NOUNS[kind][0]} is coming`) : connecting(seen);
  }
  const sound = kind === "video" && described(producer, "audio") ? fate("audio") : null;
  const more = sound?.title ?? (silent ? "sound off" : kind === "audio" ? "sound only" : "");
  return { state: "live", title: more ? `Live, ${more.replace("The", "the")}` : "Live", text: null, fresh: true };
}

function told(state, title, ...sentences) {
  return { state, title, text: sentences.filter(Boolean).join(" "), fresh: false };
}

// There is no session.
function absent({ signaling, ended, producer, seen }) {
  if (ended?.reason === "malformed" || ended?.reason === "rejected") {
    return told("failed", "This browser can't receive the stream", ended.detail);
  }
  if (signaling === "closed") {
    if (ended?.reason === "closed") return told(...ENDS.closed, AGAIN);
    if (seen) return told(...ENDS.lost, AGAIN);
    return told("reconnecting", "Can't reach the peer", "It may have stopped, or the network is down.", AGAIN);
  }
  if (signaling === "connecting") return connecting(seen);
  if (producer === null || producer.live === false) {
    const [, title, text] = seen && producer === null ? ENDS.closed : ENDS["not-live"];
    return told("waiting", title, text, "The page goes on by itself.");
  }
  if (ended !== null) return told(...(ENDS[ended.reason] ?? ENDS.failed), AGAIN);
  return connecting(seen);
}

function connecting(seen) {
  return seen ? told("reconnecting", "Reconnecting") : told("connecting", "Connecting");
}

function described(producer, kind) {
  return producer?.tracks?.find((track) => track.kind === kind);
}

// Why a kind of track has nothing to give, null when it has. What the producer says explains what
// the track itself shows.
function whatBecame(kind, doing, source) {
  const [noun, device] = NOUNS[kind];
  if (source?.readyState === "ended" && source.awaited) {
    return { state: "waiting", title: `The ${device} is gone, waiting for it`, text: `It was unplugged. The ${noun} comes back with it.` };
  }
  if (source?.refused) {
    return { state: "ended", title: `The ${noun} has ended`, text: `The permission to use the ${device} was withdrawn.` };
  }
  if (doing === "refused" && source?.readyState !== "ended") {
    return { state: "failed", title: `This browser can't play the ${noun}`, text: "It is sent in a format that this browser does not take." };
  }
  if (source?.readyState === "ended" || doing === "ended") {
    return { state: "ended", title: `The ${noun} has ended`, text: "It was stopped, or is over." };
  }
  if (source?.muted) {
    return { state: "muted", title: `The ${device} is switched off`, text: `It is covered, or taken by something else. The ${noun} comes back by itself.` };
  }
  if (doing === "paused") {
    return { state: "muted", title: `The ${noun} is paused`, text: "The other side sends none at the moment." };
  }
  return null;
}
