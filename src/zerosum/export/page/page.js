// The page: controls to a latent, a latent to a picture. Names and classes reach it by textContent alone.

import * as ort from "./ort/ort.wasm.bundle.min.mjs";
import { firstLatent } from "./latents.js";

const MOST_NUMBERS = 128; // sliders of single numbers
const REACH = 4; // how far a direction goes
const id = (name) => document.getElementById(name);

class Page {
  constructor(about, page, session) {
    this.about = about;
    this.page = page;
    this.session = session;
    this.base = null; // the latent before directions and truncation
    this.wanted = 0; // the newest picture asked for; older ones are never drawn
    this.busy = false;
    this.steps = page.directions.map(() => 0);
  }

  build() {
    const { about, page } = this;
    document.title = page.name;
    id("title").textContent = page.name;
    id("about").textContent = `Recipe ${about.recipe}, trained on ${about.data.name}. It runs here, in your browser: nothing is sent anywhere.`;
    id("footer").textContent = `zerosum ${about.versions.zerosum}, onnxruntime-web ${page.runtime}. Seeds are those of zerosum sample.`;
    const [, height, width] = about.data.shape;
    Object.assign(id("picture"), { width, height });
    id("picture").classList.toggle("pixels", width < 200);
    this.choices();
    if (about.truncation.by !== "none") {
      id("truncation-line").hidden = id("truncation-help").hidden = false;
    }
    id("directions").hidden = !page.directions.length;
    const values = page.directions.map(({ value }) => value.toPrecision(2));
    id("directions-help").textContent = "What changes most comes first: steps along unit vectors of the latent, sorted by " +
      `how much the first layer answers (singular values ${values[0]} to ${values.at(-1)}).`;
    page.directions.forEach((_, place) => {
      const line = slider(`Direction ${place + 1}`, `direction-${place}`, REACH, 0);
      line.input.addEventListener("input", () => { this.steps[place] = Number(line.input.value); this.draw(); });
      id("directions").append(line.box);
    });
    id("numbers").addEventListener("toggle", () => this.numbers());
    id("seed").addEventListener("input", () => this.seed());
    id("truncation").addEventListener("input", () => this.draw());
    id("another").addEventListener("click", () => {
      id("seed").value = crypto.getRandomValues(new Uint32Array(1))[0] >>> 1;
      this.seed();
    });
    id("reset").addEventListener("click", () => this.reset());
    id("save").addEventListener("click", () => this.save());
    id("controls").addEventListener("submit", (event) => event.preventDefault());
    id("controls").hidden = false;
    for (const name of ["another", "save", "reset"]) id(name).disabled = false;
    this.seed();
  }

  // The class, and a choice for each categorical code.
  choices() {
    const { classes, latent } = this.about;
    if (classes.length) {
      id("label").append(...classes.map((name, place) => new Option(name, place)));
      id("label").addEventListener("change", () => this.draw());
      id("label-line").hidden = false;
    }
    this.codes = latent.categorical.map((values, code) => {
      const box = element("div", { className: "line" });
      const select = element("select", { id: `code-${code}` });
      select.append(new Option("as drawn", ""), ...Array.from({ length: values }, (_, value) => new Option(value)));
      select.addEventListener("change", () => this.seed());
      box.append(element("label", { htmlFor: select.id, textContent: `Code ${code + 1}` }), select);
      id("codes").append(box);
      return select;
    });
  }

  seed() {
    if (!id("seed").checkValidity()) return say(`A seed is a whole number from 0 to ${id("seed").max}`, true);
    const { latent } = this.about;
    this.base = firstLatent(latent, Number(id("seed").value));
    let start = latent.size;
    latent.categorical.forEach((values, code) => {
      const chosen = this.codes[code].value;
      if (chosen !== "") this.base.fill(0, start, start + values)[start + Number(chosen)] = 1;
      start += values;
    });
    this.edited = false;
    this.numbers();
    this.draw();
  }

  // Sliders of single numbers, made when they are opened: noise and continuous codes.
  numbers() {
    const box = id("numbers").querySelector("div"), { size, continuous } = this.about.latent;
    if (!id("numbers").open) return box.replaceChildren();
    const length = this.base.length;
    const places = [...Array(Math.min(size, MOST_NUMBERS)).keys()];
    for (let place = length - continuous; place < length; place++) places.push(place);
    id("numbers-help").textContent = size > MOST_NUMBERS ? `The first ${MOST_NUMBERS} of ${size}.` : "";
    box.replaceChildren(...places.map((place) => {
      const name = place < size ? `Number ${place + 1}` : `Code ${place - length + continuous + 1}, continuous`;
      const line = slider(name, `number-${place}`, REACH, this.base[place]);
      line.input.addEventListener("input", () => { this.base[place] = line.input.value; this.edited = true; this.draw(); });
      return line.box;
    }));
  }

  latent() {
    const { by, numbers } = this.about.truncation, psi = by === "latent" ? Number(id("truncation").value) : 1;
    const made = this.base.map((number, place) => (place < numbers ? number * psi : number));
    this.page.directions.forEach(({ vector }, place) => {
      if (this.steps[place]) vector.forEach((number, at) => { made[at] += this.steps[place] * number; });
    });
    return made;
  }

  inputs() {
    const latent = this.latent();
    const inputs = { latent: new ort.Tensor("float32", latent, [1, latent.length]) };
    if (this.about.classes.length) inputs.label = new ort.Tensor("int64", [BigInt(id("label").value)], [1]);
    if (this.about.truncation.by === "styles") {
      inputs.truncation = new ort.Tensor("float32", [Number(id("truncation").value)], []);
    }
    return inputs;
  }

  // Only the newest wish is computed: what is asked for while a picture is made waits, and replaces what waited.
  async draw() {
    this.wanted += 1;
    id("picture").dataset.state = "drawing";
    if (this.busy) return;
    this.busy = true;
    try {
      for (let drawn = -1; drawn !== this.wanted;) {
        drawn = this.wanted;
        const begun = performance.now();
        const made = await this.session.run(this.inputs());
        paint(made.image);
        say(`Made in ${Math.max(1, Math.round(performance.now() - begun))} ms`);
      }
      id("picture").dataset.state = "ready";
    } catch (error) {
      say(`The picture could not be made: ${error.message}`, true);
    } finally {
      this.busy = false;
    }
    this.tell();
  }

  tell() {
    const seed = id("seed").value, { classes, truncation } = this.about;
    const plain = !this.edited && this.steps.every((step) => !step) && this.codes.every((code) => code.value === "");
    const words = [`zerosum sample RUN --count 1 --seed ${seed}`];
    if (truncation.by !== "none" && Number(id("truncation").value) !== 1) words.push(`--truncation ${id("truncation").value}`);
    if (classes.length) words.push(`--label ${quoted(classes[id("label").value])}`);
    id("command").textContent = words.join(" ");
    id("command-line").hidden = !plain;
    id("picture").setAttribute("aria-label", `Sample of seed ${seed}${plain ? "" : ", changed"}`);
  }

  reset() {
    this.steps.fill(0);
    for (const input of document.querySelectorAll("#directions input")) set(input, 0);
    for (const select of this.codes) select.value = "";
    set(id("truncation"), 1);
    this.seed();
  }

  save() {
    id("picture").toBlob((blob) => {
      const link = element("a", { href: URL.createObjectURL(blob), download: `${this.page.name}-seed-${id("seed").value}.png` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }
}

// (1, C, H, W) of [0, 255] on the canvas; C is grey, grey and alpha, colour, or colour and alpha.
function paint(image) {
  const [, channels, height, width] = image.dims, area = height * width, numbers = image.data;
  const picture = new ImageData(width, height); // rounds as NumPy does, and clamps
  const grey = channels < 3, alpha = channels % 2 === 0;
  for (let place = 0; place < area; place++) {
    for (let colour = 0; colour < 3; colour++) {
      picture.data[4 * place + colour] = numbers[(grey ? 0 : colour * area) + place];
    }
    picture.data[4 * place + 3] = alpha ? numbers[(channels - 1) * area + place] : 255;
  }
  id("picture").getContext("2d").putImageData(picture, 0, 0);
}

function element(name, properties) {
  return Object.assign(document.createElement(name), properties);
}

function slider(name, inputId, reach, value) {
  const box = element("div", { className: "line" });
  const input = element("input", { id: inputId, type: "range", min: -reach, max: reach, step: 0.05 });
  const output = element("output", {});
  output.htmlFor.add(inputId);
  box.append(element("label", { htmlFor: inputId, textContent: name }), input, output);
  set(input, value);
  return { box, input };
}

function set(input, value) {
  input.value = value;
  show(input);
}

function show(input) {
  const output = input.parentElement?.querySelector("output");
  if (output) output.textContent = Number(input.value).toFixed(2);
}

function say(words, bad = false) {
  id("status").textContent = words;
  id("status").classList.toggle("bad", bad);
  id("status").setAttribute("aria-live", bad ? "assertive" : id("controls").hidden ? "polite" : "off"); // not each picture
}

function quoted(word) {
  return /^[\w.-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

async function read(name) {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  return answer;
}

// A file in full, its progress told; its size, and where the browser can its SHA-256, are those stated.
async function whole(name, { bytes, sha256 }, tell) {
  const reader = (await read(name)).body.getReader(), content = new Uint8Array(bytes);
  let at = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    if (at + part.value.length > bytes) throw new Error(`${name} is longer than it should be`);
    content.set(part.value, at);
    at += part.value.length;
    tell(part.value.length);
  }
  if (at !== bytes) throw new Error(`${name} is shorter than it should be`);
  if (crypto.subtle) { // absent where a page comes neither by https nor from this machine
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
    const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (found !== sha256) throw new Error(`${name} is not the file that was exported`);
  }
  return content;
}

async function start() {
  say("Loading …");
  const [about, page] = await Promise.all(["config.json", "page.json"].map(async (name) => (await read(name)).json()));
  const bar = id("progress"), wasm = page.files["ort/ort-wasm-simd-threaded.wasm"], total = about.file.bytes + wasm.bytes;
  let done = 0;
  bar.hidden = false;
  const tell = (bytes) => {
    if (bar.hidden) return; // the other file has failed, and its words stay
    done += bytes;
    bar.value = done / total;
    say(`Loading: ${(done / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB`);
  };
  const [model, binary] = await Promise.all([
    whole("model.onnx", about.file, tell),
    whole("ort/ort-wasm-simd-threaded.wasm", wasm, tell),
  ]);
  say("Starting …");
  ort.env.wasm.numThreads = 1; // more would need headers that a static server does not send
  ort.env.wasm.wasmBinary = binary;
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  bar.hidden = true;
  new Page(about, page, session).build();
}

document.addEventListener("input", (event) => { if (event.target.type === "range") show(event.target); });
start().catch((error) => { id("progress").hidden = true; say(`The generator could not be loaded: ${error.message}`, true); });
