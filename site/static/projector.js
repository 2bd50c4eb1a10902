// The projector view: large letters, and of each section as much on a screen as fits, below its heading. The arrows, and
// PageDown and PageUp, which a presenter's remote sends, turn the screens; Escape leaves. What is higher than a screen,
// such as a long cell, scrolls first. A link to another lesson keeps the view.
const projector = (() => {
  const KEPT = "projector"; // in this tab
  let screens = [], now = 0, bar; // of each screen its section and what of it is shown

  const isOn = () => document.body.classList.contains("projector");
  const left = (step) => (step > 0 ? document.documentElement.scrollHeight - innerHeight - scrollY : scrollY);

  // A cell's code and its outputs may stand on two screens.
  const parts = (section) =>
    [...section.children].flatMap((one) => (one.matches(".cell") ? [...one.children] : one.matches("section") ? [] : one));

  function arrange() {
    mark([]);
    document.body.classList.add("projector-measured");
    screens = [...document.querySelectorAll("article section")].flatMap((section) => {
      const heading = section.querySelector(":scope > :is(h1, h2, h3, h4, h5, h6)");
      const rest = parts(section).filter((one) => one !== heading);
      const height = (one) => one.getBoundingClientRect().height + parseFloat(getComputedStyle(one).marginBottom);
      const room = innerHeight - bar.offsetHeight - height(heading) - 40; // what stands above the heading
      const groups = [[]];
      let used = 0;
      for (const one of rest) {
        if (used && used + height(one) > room) {
          groups.push([]);
          used = 0;
        }
        groups.at(-1).push(one);
        used += height(one);
      }
      return groups.map((group) => ({ section, shown: [heading, ...group] }));
    });
    document.body.classList.remove("projector-measured");
  }

  function mark(shown) {
    document.querySelectorAll(".projector-now").forEach((one) => one.classList.remove("projector-now"));
    shown.forEach((one) => one.classList.add("projector-now"));
  }

  function say() {
    bar.querySelector("output").textContent = `${now + 1} / ${screens.length}${left(1) > 2 ? " ↓" : ""}`;
  }

  function show(number) {
    now = Math.max(0, Math.min(screens.length - 1, number));
    mark(screens[now].shown);
    scrollTo({ top: 0, behavior: "instant" });
    say();
  }

  const showSection = (section) => show(screens.findIndex((screen) => screen.section === section));

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
    const sections = [...document.querySelectorAll("article section")];
    if (!sections.length) return;
    const started = sections.findLast((one) => one.getBoundingClientRect().top < innerHeight / 3) ?? sections[0];
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
    arrange();
    showSection(started);
  }

  function leave() {
    document.body.classList.remove("projector");
    sessionStorage.removeItem(KEPT);
    bar.remove();
    mark([]);
    screens[now].section.scrollIntoView();
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
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)))?.closest("article section");
    if (isOn() && target) showSection(target);
  });
  addEventListener("resize", () => {
    if (!isOn()) return;
    const { section } = screens[now];
    arrange();
    showSection(section);
  });
  addEventListener("scroll", () => isOn() && say());
  addEventListener("load", () => sessionStorage.getItem(KEPT) && enter());

  return { toggle: () => (isOn() ? leave() : enter()) };
})();
