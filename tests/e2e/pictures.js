// Functions for tests, evaluated in the page: what its <video> really shows and plays.
(() => {
  const COLUMNS = 40, ROWS = 2, BITS = 36;
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });

  const draw = (video) => {
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    context.drawImage(video, 0, 0);
  };

  // The mean colour [r, g, b] of a part of the picture, given in fractions of its size.
  const colour = (left, top, width, height) => {
    const { data } = context.getImageData(
      left * canvas.width, top * canvas.height,
      Math.max(1, width * canvas.width), Math.max(1, height * canvas.height));
    const sum = [0, 0, 0];
    for (let i = 0; i < data.length; i += 4) for (let c = 0; c < 3; c++) sum[c] += data[i + c];
    return sum.map((value) => value / (data.length / 4));
  };

  const crc8 = (payload) => {
    let crc = 0;
    for (let shift = 56n; shift >= 0n; shift -= 8n) {
      crc ^= Number((payload >> shift) & 0xffn);
      for (let i = 0; i < 8; i++) crc = crc & 0x80 ? ((crc << 1) ^ 0x07) & 0xff : crc << 1;
    }
    return crc;
  };

  // The frame number of the block barcode in the picture, null when there is none.
  const barcode = () => {
    const size = canvas.width / COLUMNS;
    let value = 0n;
    for (let row = 0; row < ROWS; row++) {
      const cells = [];
      for (let column = 0; column < COLUMNS; column++) {
        const [r, g, b] = colour(
          ((column + 0.25) * size) / canvas.width, ((row + 0.25) * size) / canvas.height,
          size / 2 / canvas.width, size / 2 / canvas.height);
        cells.push(0.3 * r + 0.59 * g + 0.11 * b > 124 ? 1n : 0n);
      }
      if (!cells[0] || !cells[COLUMNS - 1] || cells[1] || cells[COLUMNS - 2]) return null;
      for (let bit = 0; bit < BITS; bit++) value = (value << 1n) | cells[bit + 2];
    }
    const payload = value >> 8n;
    return crc8(payload) === Number(value & 0xffn) ? Number(payload >> 40n) : null;
  };

  window.pictures = {
    // The next `count` pictures: size, barcode and the mean colour of the middle of each.
    async next(count) {
      const video = document.querySelector("video");
      const seen = [];
      while (seen.length < count) {
        await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
        draw(video);
        seen.push({
          width: canvas.width,
          height: canvas.height,
          frame: barcode(),
          colour: colour(0.25, 0.25, 0.5, 0.5),
        });
      }
      return seen;
    },
    colour,
    // Whether a part of the picture differs between two that follow each other.
    async changes(left, top, width, height) {
      const part = async () => {
        await this.next(1);
        return context.getImageData(
          left * canvas.width, top * canvas.height, width * canvas.width, height * canvas.height).data;
      };
      const before = await part();
      const after = await part();
      return before.some((value, i) => Math.abs(value - after[i]) > 64);
    },
    // Hertz of the loudest frequency that the page plays, once there is sound at all.
    async tone() {
      const audio = new AudioContext();
      await audio.resume();
      const analyser = audio.createAnalyser();
      analyser.fftSize = 8192;
      const stream = new MediaStream(document.querySelector("video").srcObject.getAudioTracks());
      audio.createMediaStreamSource(stream).connect(analyser);
      const levels = new Float32Array(analyser.frequencyBinCount);
      let loudest = 0;
      do {
        await new Promise((resolve) => setTimeout(resolve, 50));
        analyser.getFloatFrequencyData(levels);
        loudest = levels.reduce((best, level, i) => (level > levels[best] ? i : best), 0);
      } while (!(levels[loudest] > -40));
      await audio.close();
      return (loudest * audio.sampleRate) / analyser.fftSize;
    },
  };
})();
