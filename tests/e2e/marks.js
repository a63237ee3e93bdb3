// When the virtual camera's light square and its beep begin on a page, in milliseconds of one clock,
// until the square has lit up so many times.
async (count) => {
  const video = document.querySelector("video");
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 512;
  context.createMediaStreamSource(video.srcObject).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const canvas = new OffscreenCanvas(64, 48);
  const painter = canvas.getContext("2d", { willReadFrequently: true });
  const found = { beeps: [], lights: [] };
  const wasOn = { beeps: true, lights: true };

  const note = (what, isOn, at) => {
    if (isOn && !wasOn[what]) found[what].push(at);
    wasOn[what] = isOn;
  };
  const listen = () => {
    analyser.getFloatTimeDomainData(samples);
    const crossings = samples.filter((sample, i) => i > 0 && sample < 0 !== samples[i - 1] < 0).length;
    const hertz = (crossings * context.sampleRate) / 2 / (samples.length - 1);
    note("beeps", hertz > 1200, performance.now()); // the beep has 1760, the tone less than half of it
  };
  const look = (resolve) => (now, { expectedDisplayTime }) => {
    painter.drawImage(video, 0, 0, canvas.width, canvas.height);
    const green = painter.getImageData(52, 36, 1, 1).data[1]; // amid the square
    note("lights", green > 215, expectedDisplayTime);
    resolve();
  };
  const listening = setInterval(listen, 4);
  while (found.lights.length < count) {
    await new Promise((resolve) => video.requestVideoFrameCallback(look(resolve)));
  }
  clearInterval(listening);
  await context.close();
  return found;
};
