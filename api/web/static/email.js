// The field for an e-mail: signs of full width, as Chinese keyboards write them, become the plain ones that are meant.

const email = document.getElementById("email");

const FULL_WIDTH = /[\uff01-\uff5e]/g;
const FULL_WIDTH_OFFSET = 0xfee0;

const plain = (text) =>
  text.replace(FULL_WIDTH, (sign) => String.fromCharCode(sign.charCodeAt(0) - FULL_WIDTH_OFFSET)).replaceAll("。", ".");

// Seen by who typed it, before it is sent: what stands in the field is what goes out.
email.addEventListener("change", () => {
  if (email.value !== plain(email.value)) {
    email.value = plain(email.value);
  }
});
