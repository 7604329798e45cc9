// Search shows an excerpt of each page that it finds, for which it fetches the page. Browsers forbid
// this for files that are opened without a server.
if (location.protocol === "file:") {
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
}
