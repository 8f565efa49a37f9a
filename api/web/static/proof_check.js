// The check of proofs, without the page: the inclusion of an event in the Merkle log (RFC 9162, 2.1.3.2), the events of a
// reservation in the map, and the signature of the checkpoint, with WebCrypto. A classic script, as proof.js is.

(() => {
  const readBytes = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  const encode = (text) => new TextEncoder().encode(text);

  async function hash(...parts) {
    const digest = await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer());
    return new Uint8Array(digest);
  }

  // A leaf: 0, the stream's id, the version (8 bytes), the length of the topic (2 bytes), the topic, the stored event.
  function hashEvent(event) {
    const stream = event.stream.replaceAll("-", "").match(/../g).map((each) => Number.parseInt(each, 16));
    const topic = encode(event.topic);
    const numbers = new DataView(new ArrayBuffer(10));
    numbers.setBigInt64(0, BigInt(event.version));
    numbers.setUint16(8, topic.length);
    return hash(Uint8Array.of(0, ...stream), numbers, topic, readBytes(event.state));
  }

  // The root that a path leads to; null if it cannot be a path of that leaf.
  async function climb(index, size, leaf, path) {
    let [number, last, node] = [BigInt(index), BigInt(size) - 1n, leaf];
    if (number < 0n || number > last) {
      return null;
    }
    for (const step of path.map(readBytes)) {
      if (last === 0n) {
        return null;
      }
      if (number & 1n || number === last) {
        node = await hash(Uint8Array.of(1), step, node);
        while (!(number & 1n) && number) {
          [number, last] = [number >> 1n, last >> 1n];
        }
      } else {
        node = await hash(Uint8Array.of(1), node, step);
      }
      [number, last] = [number >> 1n, last >> 1n];
    }
    return last === 0n ? btoa(String.fromCharCode(...node)) : null;
  }

  function formatSignedText({ number, size, root, at, map_root: mapRoot }) {
    const withoutMap = number === undefined ? "1" : `2\n${number}`;
    const start = mapRoot === undefined ? withoutMap : `3\n${number}\n${mapRoot}`;
    return `redemption-ledger checkpoint ${start}\n${size}\n${root}\n${at}\n`;
  }

  // --- The fields of a stored event: former releases wrote JSON, later ones write MessagePack ---

  const readState = (bytes) =>
    bytes[0] === 0x7b ? JSON.parse(new TextDecoder().decode(bytes)) : unpack({ bytes, at: 0 });

  function take(source, length) {
    source.at += length;
    return source.bytes.slice(source.at - length, source.at);
  }

  function takeNumber(source, length, isSigned = false) {
    const number = take(source, length).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    return Number(isSigned ? BigInt.asIntN(8 * length, number) : number);
  }

  const takeText = (source, length) => new TextDecoder().decode(take(source, length));
  const takeList = (source, length) => Array.from({ length }, () => unpack(source));
  const takeMap = (source, length) =>
    Object.fromEntries(Array.from({ length }, () => [unpack(source), unpack(source)]));

  function takeId(source, length) {
    const digits = [...take(source, length)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  }

  // Seconds and nanoseconds since 1970, in 4, 8 or 12 bytes after the byte of the type.
  function takeTime(source, length) {
    take(source, 1);
    let [nanoseconds, seconds] = [0, 0];
    if (length === 8) {
      const both = take(source, 8).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
      [nanoseconds, seconds] = [Number(both >> 34n), Number(both & 0x3ffffffffn)];
    } else {
      nanoseconds = length === 12 ? takeNumber(source, 4) : 0;
      seconds = takeNumber(source, length === 12 ? 8 : 4, length === 12);
    }
    const fraction = nanoseconds === 0 ? "" : `.${String(nanoseconds).padStart(9, "0").slice(0, 6)}`;
    return `${new Date(seconds * 1000).toISOString().slice(0, 19)}${fraction}Z`;
  }

  const CONSTANTS = { 0xc0: null, 0xc2: false, 0xc3: true };
  // What follows the length, and in how many bytes that is.
  const FORMS = {
    0xc4: [takeId, 1], 0xc7: [takeTime, 1], 0xd9: [takeText, 1], 0xda: [takeText, 2], 0xdc: [takeList, 2], 0xde: [takeMap, 2],
  };

  function unpack(source) {
    const kind = takeNumber(source, 1);
    if (kind < 0x80 || kind > 0xdf) {
      return kind < 0x80 ? kind : kind - 256;
    }
    if (kind < 0xc0) {
      const takeShort = kind < 0x90 ? takeMap : kind < 0xa0 ? takeList : takeText;
      return takeShort(source, kind < 0xa0 ? kind & 15 : kind & 31);
    }
    if (kind >= 0xcc && kind <= 0xd3) {
      return takeNumber(source, 1 << (kind & 3), kind >= 0xd0);
    }
    if (kind === 0xcb) {
      return new DataView(take(source, 8).buffer).getFloat64(0);
    }
    if (kind === 0xd6 || kind === 0xd7) {
      return takeTime(source, kind === 0xd6 ? 4 : 8);
    }
    if (kind in CONSTANTS) {
      return CONSTANTS[kind];
    }
    const [takeForm, length] = FORMS[kind];
    return takeForm(source, takeNumber(source, length));
  }

  // --- The signature ---

  // Returns null if this browser has no Ed25519.
  async function isSigned(head) {
    const name = "Ed25519";
    try {
      const key = await crypto.subtle.importKey("raw", readBytes(head.public_key), { name }, false, ["verify"]);
      return await crypto.subtle.verify({ name }, key, readBytes(head.signature), encode(formatSignedText(head)));
    } catch (error) {
      return error.name === "NotSupportedError" ? null : false;
    }
  }

  // Returns the name of the sentence that says what is wrong with a checkpoint; without one, `holds`.
  async function checkHead(checkpoint, keys, holds) {
    if (!keys.includes(checkpoint.public_key)) {
      return "wrongKey";
    }
    return { true: holds, false: "wrongSignature", null: "holdsUnsigned" }[await isSigned(checkpoint)];
  }

  async function isIncluded(event, checkpoint) {
    const root = await climb(event.leaf_index, checkpoint.size, await hashEvent(event), event.path);
    return root === checkpoint.root;
  }

  // Each of these returns the name of the sentence that says what the check found.
  globalThis.ledgerProofs = {
    readState: (event) => readState(readBytes(event.state)),

    async checkEvent({ event, checkpoint }, keys) {
      if (globalThis.crypto?.subtle === undefined) {
        return "noCrypto";
      }
      return (await isIncluded(event, checkpoint)) ? checkHead(checkpoint, keys, "holds") : "wrongPath";
    },

    // All events of a reservation: their chained hash is at the place of the first one in the map of reservations.
    async checkReceipt({ format, reservation_id: about, events, checkpoint, map_path: path }, keys) {
      if (globalThis.crypto?.subtle === undefined) {
        return "noCrypto";
      }
      let chained = new Uint8Array(32);
      for (const [index, event] of events.entries()) {
        const before = events[index - 1];
        const isNext = !before || (before.version < event.version && before.leaf_index < event.leaf_index);
        const isAbout = readState(readBytes(event.state)).reservation_id === about;
        if (!isNext || !isAbout || !(await isIncluded(event, checkpoint))) {
          return "wrongReceipt";
        }
        chained = await hash(Uint8Array.of(2), chained, await hashEvent(event));
      }
      if (format !== "redemption-ledger receipt 2") {
        return checkHead(checkpoint, keys, "holdsAtLeast");
      }
      const root = await climb(events[0].leaf_index, checkpoint.size, chained, path);
      return root === checkpoint.map_root ? checkHead(checkpoint, keys, "holdsAll") : "wrongReceipt";
    },
  };
})();
