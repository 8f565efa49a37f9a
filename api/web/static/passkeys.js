// Passkeys (WebAuthn): a form asks the authenticator, puts its answer into a field and is sent. Without a script such forms stay hidden.

const toBytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
const toText = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const withBytes = (keys = []) => keys.map((key) => ({ ...key, id: toBytes(key.id) }));

function create(options) {
  const user = { ...options.user, id: toBytes(options.user.id) };
  const challenge = toBytes(options.challenge);
  return navigator.credentials.create({ publicKey: { ...options, challenge, user, excludeCredentials: withBytes(options.excludeCredentials) } });
}

function get(options) {
  const challenge = toBytes(options.challenge);
  return navigator.credentials.get({ publicKey: { ...options, challenge, allowCredentials: withBytes(options.allowCredentials) } });
}

function describe(credential) {
  const names = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
  const given = names.filter((name) => credential.response[name]);
  const response = Object.fromEntries(given.map((name) => [name, toText(credential.response[name])]));
  return JSON.stringify({ id: credential.id, rawId: toText(credential.rawId), type: credential.type, response });
}

async function ask(form) {
  const fault = form.querySelector("[data-passkey-fault]");
  fault.textContent = "";
  try {
    const options = JSON.parse(form.dataset.options);
    const credential = await (form.dataset.passkey === "create" ? create(options) : get(options));
    form.querySelector("[data-answer]").value = describe(credential);
    form.submit();
  } catch (error) {
    fault.textContent = error.name === "InvalidStateError" ? fault.dataset.passkeyKnown : fault.dataset.passkeyFault;
  }
}

if (window.PublicKeyCredential !== undefined) {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      ask(form);
    });
  }
}
