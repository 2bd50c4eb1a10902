// The projector view: large letters, one section a screen. PageDown and PageUp, which a presenter's remote sends, scroll
// within a long section and then go on to the next; the arrows go there at once; Escape leaves.
const projector = (() => {
  let screens = [], now = 0, bar;

  const isOn = () => document.body.classList.contains("projector");

  function show(number) {
    screens[now].classList.remove("projector-now");
    now = Math.max(0, Math.min(screens.length - 1, number));
    screens[now].classList.add("projector-now");
    // The sections around it stay, without their own words.
    document.querySelectorAll(".projector-around").forEach((one) => one.classList.remove("projector-around"));
    for (let one = screens[now].parentElement.closest("section"); one; one = one.parentElement.closest("section"))
      one.classList.add("projector-around");
    bar.querySelector("output").textContent = `${now + 1} / ${screens.length}`;
    history.replaceState(null, "", now ? `#${screens[now].id}` : location.pathname + location.search);
    scrollTo(0, 0);
  }

  function button(text, label, action) {
    const one = document.createElement("button");
    Object.assign(one, { type: "button", textContent: text, title: label, onclick: action });
    one.setAttribute("aria-label", label);
    return one;
  }

  function enter() {
    screens = [...document.querySelectorAll("#main-content section, article section")];
    if (!screens.length) return;
    const top = (one) => one.getBoundingClientRect().top;
    const started = screens.findLastIndex((one) => top(one) < innerHeight / 3);
    bar = document.createElement("nav");
    bar.className = "projector-bar";
    bar.setAttribute("aria-label", "Projector");
    bar.append(
      button("‹", "Section before (←)", () => show(now - 1)),
      document.createElement("output"),
      button("›", "Next section (→)", () => show(now + 1)),
      button("×", "Leave (Esc)", leave),
    );
    document.body.append(bar);
    document.body.classList.add("projector");
    now = 0;
    show(Math.max(0, started));
  }

  function leave() {
    document.body.classList.remove("projector");
    bar.remove();
    screens[now].scrollIntoView();
  }

  function turn(step) {
    const page = document.documentElement;
    const left = step > 0 ? page.scrollHeight - innerHeight - scrollY : scrollY;
    if (left > 2) scrollBy(0, step * innerHeight * 0.85);
    else show(now + step);
  }

  document.addEventListener("keydown", (event) => {
    if (!isOn() || event.ctrlKey || event.altKey || event.metaKey || event.target.matches?.("input")) return;
    const act = {
      ArrowRight: () => show(now + 1), ArrowLeft: () => show(now - 1), Escape: leave,
      PageDown: () => turn(1), PageUp: () => turn(-1), Home: () => show(0), End: () => show(screens.length - 1),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  return { toggle: () => (isOn() ? leave() : enter()) };
})();
