// Where scripts run, the sign-in is in this tab, which keeps the form: typed_forms.js has stored it before.

if (sessionStorage.getItem("typed-form") !== null) {
  location.replace(document.querySelector("[data-continue]").dataset.continue);
}
