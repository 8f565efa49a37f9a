// A reply has the reader's time with its zone, because the customer may be in another one.

import { FORMS, offsetOf } from "./times.js";

for (const reply of document.querySelectorAll("textarea.reply")) {
  reply.value = reply.value.replaceAll(/(\d{4}-\d\d-\d\d) (\d\d:\d\d) UTC/g, (text, date, time) => {
    const at = new Date(`${date}T${time}Z`);
    return Number.isNaN(at.getTime()) ? text : `${FORMS.minute(at)} ${offsetOf(at)}`;
  });
}
