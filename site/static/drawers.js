// On a phone the two tables of contents are drawers. The theme leaves them open when an entry leads to a place on the
// same page, which then lies behind them.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("dialog a[href^='#']");
  if (link) link.closest("dialog").close();
});
