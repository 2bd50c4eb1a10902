// The projector view: large letters, one section a screen. The arrows, and PageDown and PageUp, which a presenter's
// remote sends, scroll within a long section and then go on to the next one; Escape leaves. A link to another lesson
// keeps the view.
const projector = (() => {
  const KEPT = "projector"; // in this tab
  let screens = [], now = 0, bar;

  const isOn = () => document.body.classList.contains("projector");
  const left = (step) => (step > 0 ? document.documentElement.scrollHeight - innerHeight - scrollY : scrollY);

  function say() {
    bar.querySelector("output").textContent = `${now + 1} / ${screens.length}${left(1) > 2 ? " ↓" : ""}`;
  }

  function show(number) {
    screens[now].classList.remove("projector-now");
    now = Math.max(0, Math.min(screens.length - 1, number));
    screens[now].classList.add("projector-now");
    // The sections around it stay, without their own words.
    document.querySelectorAll(".projector-around").forEach((one) => one.classList.remove("projector-around"));
    for (let one = screens[now].parentElement.closest("section"); one; one = one.parentElement.closest("section"))
      one.classList.add("projector-around");
    scrollTo({ top: 0, behavior: "instant" });
    say();
  }

  function turn(step) {
    if (left(step) > 2) scrollBy({ top: step * innerHeight * 0.8, behavior: "instant" });
    else if (screens[now + step]) show(now + step);
  }

  function button(text, label, action) {
    const one = document.createElement("button");
    Object.assign(one, { type: "button", textContent: text, title: label, onclick: action });
    one.setAttribute("aria-label", label);
    return one;
  }

  function enter() {
    screens = [...document.querySelectorAll("article section")];
    if (!screens.length) return;
    const started = screens.findLastIndex((one) => one.getBoundingClientRect().top < innerHeight / 3);
    bar = document.createElement("nav");
    bar.className = "projector-bar";
    bar.setAttribute("aria-label", "Projector");
    bar.append(
      button("‹", "Back (←)", () => turn(-1)),
      document.createElement("output"),
      button("›", "On (→)", () => turn(1)),
      button("×", "Leave (Esc)", leave),
    );
    document.body.append(bar);
    document.body.classList.add("projector");
    sessionStorage.setItem(KEPT, "on");
    now = 0;
    show(Math.max(0, started));
  }

  function leave() {
    document.body.classList.remove("projector");
    screens[now].classList.remove("projector-now");
    sessionStorage.removeItem(KEPT);
    bar.remove();
    screens[now].scrollIntoView();
  }

  document.addEventListener("keydown", (event) => {
    if (!isOn() || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey || event.target.matches?.("input")) return;
    const act = {
      ArrowRight: () => turn(1), PageDown: () => turn(1), ArrowLeft: () => turn(-1), PageUp: () => turn(-1),
      Home: () => show(0), End: () => show(screens.length - 1), Escape: leave,
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  addEventListener("hashchange", () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)))?.closest("section");
    if (isOn() && screens.includes(target)) show(screens.indexOf(target));
  });
  addEventListener("scroll", () => isOn() && say());
  addEventListener("load", () => sessionStorage.getItem(KEPT) && enter());

  return { toggle: () => (isOn() ? leave() : enter()) };
})();
