// Times come from the server in UTC; they are shown in the reader's own time zone.

const two = (number) => String(number).padStart(2, "0");

// Short and of equal width, as on a statement, in every language.
function shown(at) {
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export function showLocalTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.title = time.textContent;
    time.textContent = shown(new Date(time.dateTime));
  }
}

showLocalTimes(document);
