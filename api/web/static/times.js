// Times come from the server in UTC; they are shown in the reader's own time zone.

const two = (number) => String(number).padStart(2, "0");

export const day = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
const clock = (at) => `${two(at.getHours())}:${two(at.getMinutes())}`;

// By the form that the server asks for: to the second in tables (of equal width in every language), to the minute in
// sentences, and as a clock or a date where a picture has no place for more.
export const FORMS = {
  second: (at) => `${day(at)} ${clock(at)}:${two(at.getSeconds())}`,
  minute: (at) => `${day(at)} ${clock(at)}`,
  clock,
  day: (at) => day(at).slice("2026-".length),
};

export function showLocalTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.title = time.textContent;
    const at = new Date(time.dateTime);
    time.textContent = FORMS[time.dataset.form ?? "second"](at);
  }
}

export const zoneName = Intl.DateTimeFormat().resolvedOptions().timeZone;

// "UTC+08:00"
export function offsetOf(at) {
  const minutes = -at.getTimezoneOffset();
  return `UTC${minutes < 0 ? "−" : "+"}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
}

// "Asia/Shanghai, UTC+08:00"; where the times of the page are in summer and in winter, both offsets.
export function tellZone() {
  const times = document.querySelectorAll("time[datetime]");
  if (times.length > 0) {
    const line = document.getElementById("zone");
    const offsets = new Set(Array.from(times, (time) => offsetOf(new Date(time.dateTime))));
    const zone = zoneName === "UTC" ? zoneName : `${zoneName}, ${[...offsets].join(" / ")}`;
    line.textContent = line.dataset.text.replace("{zone}", zone);
    line.hidden = false;
  }
}

showLocalTimes(document);
tellZone();
