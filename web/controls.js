// The camera's controls, made from its capabilities, and a shutter; over a data channel.

const NAMES = {
  whiteBalanceMode: "White balance", colorTemperature: "Colour temperature",
  exposureMode: "Exposure", exposureTime: "Exposure time",
  exposureCompensation: "Exposure compensation", iso: "ISO",
  focusMode: "Focus", focusDistance: "Focus distance",
  brightness: "Brightness", contrast: "Contrast", saturation: "Saturation",
  sharpness: "Sharpness", pan: "Pan", tilt: "Tilt", zoom: "Zoom", torch: "Torch",
  cursor: "Pointer",
};
const ORDER = ["zoom", "pan", "tilt", "torch"];
const rank = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);

export class Controls {
  #place;
  #channel = null;
  #inputs = new Map();
  #waiting = new Map();
  #next = 1;
  #photo = null;
  // A slider that is dragged sends one value at a time, the newest.
  #sending = false;
  #wanted = new Map();

  constructor(place) {
    this.#place = place;
  }

  attach(channel) {
    this.detach();
    this.#channel = channel;
    channel.addEventListener("message", ({ data }) => this.#received(channel, data));
    channel.addEventListener("close", () => this.#channel === channel && this.detach());
    this.refresh();
  }

  // The camera may be another one, or be back: ask what it can do.
  refresh() {
    const channel = this.#channel;
    if (channel === null) return;
    this.#request("describe").then(
      (description) => this.#channel === channel && this.#build(description),
      (error) => this.#say(error.message),
    );
  }

  detach() {
    this.#channel = null;
    this.#place.hidden = true;
    this.#place.replaceChildren();
    this.#inputs.clear();
    for (const { reject } of this.#waiting.values()) reject(new Error("The connection is closed."));
    this.#waiting.clear();
    this.#wanted.clear();
    this.#photo = null;
    this.#sending = false;
  }

  #request(method, members = {}) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#channel.send(JSON.stringify({ id, method, ...members }));
    });
  }

  #received(channel, data) {
    if (channel !== this.#channel) return;
    if (typeof data !== "string") return this.#developed(data);
    const { id, event, result, error, settings } = JSON.parse(data);
    if (event === "configurationchange") return this.#show(settings);
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) waiting?.reject(Object.assign(new Error(error.message), { name: error.name }));
    else waiting?.resolve(result);
  }

  #build({ capabilities, settings }) {
    const names = Object.keys(capabilities).sort((a, b) => rank(a) - rank(b));
    this.#place.replaceChildren(this.#shutter(), ...names.map((name) => this.#row(name, capabilities[name])));
    this.#show(settings);
    this.#place.hidden = false;
  }

  #row(name, capability) {
    const label = document.createElement("label");
    const text = document.createElement("span");
    text.textContent = NAMES[name] ?? name;
    const input = Array.isArray(capability) ? choice(capability) : range(capability);
    input.id = `control-${name}`;
    const value = document.createElement("output");
    input.addEventListener("input", () => this.#set(name, read(input)));
    this.#inputs.set(name, { input, value });
    label.append(text, input, value);
    return label;
  }

  #shutter() {
    const row = document.createElement("div");
    row.id = "shutter-row";
    const button = document.createElement("button");
    button.id = "shutter";
    button.textContent = "Photograph";
    button.addEventListener("click", () => this.#takePhoto(button));
    const link = document.createElement("a");
    link.id = "photo";
    link.hidden = true;
    const message = document.createElement("output");
    message.id = "control-message";
    row.append(button, link, message);
    return row;
  }

  #show(settings) {
    for (const [name, { input, value }] of this.#inputs) {
      if (!(name in settings) || this.#wanted.has(name)) continue;
      if (input.type === "checkbox") input.checked = settings[name];
      else input.value = settings[name];
      value.textContent = input.type === "range" ? String(settings[name]) : "";
    }
  }

  async #set(name, value) {
    this.#wanted.set(name, value);
    if (this.#sending) return;
    this.#sending = true;
    while (this.#wanted.size > 0 && this.#channel !== null) {
      const constraints = Object.fromEntries([...this.#wanted].map(([key, one]) => [key, { exact: one }]));
      this.#wanted.clear();
      try {
        this.#show((await this.#request("applyConstraints", { constraints })).settings);
        this.#say("");
      } catch (error) {
        this.#say(error.message);
      }
    }
    this.#sending = false;
  }

  async #takePhoto(button) {
    button.disabled = true;
    try {
      const { type, size } = await this.#request("takePhoto");
      this.#photo = { type, size, chunks: [], received: 0 };
      this.#say("");
    } catch (error) {
      this.#say(error.message);
      button.disabled = false;
    }
  }

  #developed(chunk) {
    const photo = this.#photo;
    if (photo === null) return;
    photo.chunks.push(chunk);
    photo.received += chunk.byteLength;
    if (photo.received < photo.size) return;
    this.#photo = null;
    const link = document.getElementById("photo");
    if (link.href) URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(new Blob(photo.chunks, { type: photo.type }));
    link.download = `photo-${new Date().toISOString().replaceAll(":", "-")}.jpg`;
    const image = new Image();
    image.alt = "The photograph; click to save it";
    image.src = link.href;
    link.replaceChildren(image);
    link.hidden = false;
    document.getElementById("shutter").disabled = false;
  }

  #say(text) {
    const message = document.getElementById("control-message");
    if (message !== null) message.textContent = text;
  }
}

function range({ min, max, step }) {
  const input = document.createElement("input");
  Object.assign(input, { type: "range", min, max, step: step || "any" });
  return input;
}

function choice(values) {
  if (values.every((value) => typeof value === "boolean")) {
    const input = document.createElement("input");
    input.type = "checkbox";
    input.disabled = values.length < 2;
    return input;
  }
  const input = document.createElement("select");
  input.append(...values.map((value) => new Option(value, value)));
  return input;
}

function read(input) {
  if (input.type === "checkbox") return input.checked;
  return input.type === "range" ? Number(input.value) : input.value;
}
