// The latents of a seed, the same numbers that zerosum draws in Python: NumPy's normal numbers of a Philox generator.

const WORD = (1n << 64n) - 1n;

// BLAKE2b of a text under 128 bytes, its first 64 bits (Saarinen & Aumasson, RFC 7693): the key of a stream of numbers.
const IV = [
  0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n,
];
const SIGMA = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4], [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13], [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11], [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5], [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];
const MIXED = [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15], [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]];

export function keyOf(text) {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length > 128) throw new RangeError("the text of a key is longer than a block");
  const message = new Array(16).fill(0n);
  bytes.forEach((byte, place) => { message[place >> 3] |= BigInt(byte) << BigInt(8 * (place & 7)); });
  const start = IV[0] ^ 0x01010000n ^ 8n;
  const v = [start, ...IV.slice(1), ...IV];
  v[12] ^= BigInt(bytes.length);
  v[14] ^= WORD;
  const turned = (word, by) => ((word >> by) | (word << (64n - by))) & WORD;
  for (let round = 0; round < 12; round++) {
    const order = SIGMA[round % 10];
    MIXED.forEach(([a, b, c, d], pair) => {
      v[a] = (v[a] + v[b] + message[order[2 * pair]]) & WORD;
      v[d] = turned(v[d] ^ v[a], 32n);
      v[c] = (v[c] + v[d]) & WORD;
      v[b] = turned(v[b] ^ v[c], 24n);
      v[a] = (v[a] + v[b] + message[order[2 * pair + 1]]) & WORD;
      v[d] = turned(v[d] ^ v[a], 16n);
      v[c] = (v[c] + v[d]) & WORD;
      v[b] = turned(v[b] ^ v[c], 63n);
    });
  }
  const digest = start ^ v[0] ^ v[8];
  let key = 0n; // Python reads the eight bytes from the largest on
  for (let byte = 0n; byte < 8n; byte++) key = (key << 8n) | ((digest >> (8n * byte)) & 0xffn);
  return key;
}

// Philox4x64-10 (Salmon et al. 2011), as NumPy counts.
class Philox {
  constructor(key) {
    this.key = key;
    this.counter = 0n;
    this.words = [];
  }

  uint32() {
    if (!this.words.length) this.words = this.block();
    return this.words.shift();
  }

  block() {
    this.counter += 1n;
    let [a, b, c, d] = [this.counter, 0n, 0n, 0n], k = this.key, l = 0n;
    for (let round = 0; round < 10; round++) {
      const p = 0xd2e7470ee14c6c93n * a, q = 0xca5a826395121157n * c;
      [a, b, c, d] = [(q >> 64n) ^ b ^ k, q & WORD, (p >> 64n) ^ d ^ l, p & WORD];
      k = (k + 0x9e3779b97f4a7c15n) & WORD;
      l = (l + 0xbb67ae8584caa73bn) & WORD;
    }
    return [a, b, c, d].flatMap((word) => [Number(word & 0xffffffffn), Number(word >> 32n)]);
  }

  // Uniform in [0, 1), of 24 bits.
  share() {
    return (this.uint32() >>> 8) / 16777216;
  }
}

// The ziggurat of 256 strips (Marsaglia & Tsang 2000, in Doornik's form), in float32.
const float = Math.fround, EDGE = 3.6541528853610088, AREA = 0.00492867323397465524494;
const KEEP = new Uint32Array(256), WIDE = new Float32Array(256), HIGH = new Float32Array(256);
{
  const scale = 2 ** 23, density = (x) => Math.exp(-0.5 * x * x);
  let x = EDGE, high = density(EDGE);
  KEEP[0] = (x * high) / AREA * scale;
  WIDE[0] = AREA / high / scale;
  WIDE[255] = x / scale;
  HIGH[0] = 1;
  HIGH[255] = high;
  for (let strip = 254; strip >= 1; strip--) {
    const next = Math.sqrt(-2 * Math.log(AREA / x + high));
    KEEP[strip + 1] = (next / x) * scale;
    WIDE[strip] = next / scale;
    high = density(next);
    HIGH[strip] = high;
    x = next;
  }
}

function normal(source) {
  for (;;) {
    const bits = source.uint32(), strip = bits & 0xff, size = (bits >>> 9) & 0x7fffff;
    let x = float(size * WIDE[strip]);
    if (bits & 0x100) x = -x;
    if (size < KEEP[strip]) return x;
    if (strip === 0) {
      for (;;) {
        const far = float(-Math.log1p(-source.share()) / EDGE), near = float(-Math.log1p(-source.share()));
        if (near + near > far * far) return (size >> 8) & 1 ? -float(EDGE + far) : float(EDGE + far);
      }
    }
    const height = float(float(float(HIGH[strip - 1] - HIGH[strip]) * source.share()) + HIGH[strip]);
    if (height < Math.exp(-0.5 * x * x)) return x;
  }
}

function rows(seed, stream, count, one) {
  const source = new Philox(keyOf(`${seed}/${stream}/0`));
  return Float32Array.from({ length: count }, () => one(source));
}

// The first latent of a seed; `latent` as config.json has it: noise, then one-hot rows, then continuous codes.
export function firstLatent(latent, seed) {
  const { size, distribution, categorical, continuous } = latent;
  const drawn = distribution === "normal" ? normal : (source) => float(float(source.share() * 2) - 1);
  const noise = rows(seed, `sample/${size}/${distribution}`, size, drawn);
  const columns = categorical.length + continuous;
  if (!columns) return noise;
  const shares = rows(seed, `sample/codes/${columns}`, columns, (source) => source.share());
  const codes = categorical.flatMap((values, column) => {
    const chosen = Math.floor(float(shares[column] * values));
    return Array.from({ length: values }, (_, value) => Number(value === chosen));
  });
  return Float32Array.from([...noise, ...codes, ...[...shares.slice(categorical.length)].map((share) => share * 2 - 1)]);
}
