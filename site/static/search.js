// What the site's search shows first. Sphinx finds the pages that hold each word of a query; here people paste whole
// lines of an error, or ask in their own words. So every heading, error text, symptom and question is compared with the
// query, by the words they share: a rare word counts more, and so do words in the same order; what a text or the query
// has besides counts against it.
(() => {
  // For languages with two forms, Sphinx' expression is a yes or no, and its page of results wants a number.
  const form = Documentation.PLURAL_EXPR;
  Documentation.PLURAL_EXPR = (n) => Number(form(n));

  // Of a page, Sphinx would show what stands in its header, too.
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    page.querySelectorAll(".headerlink, .course-bar, script, style").forEach((one) => one.remove());
    const place = anchor && page.getElementById(anchor.slice(1));
    return (place || page.querySelector("article") || page.body).textContent;
  };

  const KINDS = [
    [/^notebooks\/\d/, 1.3], // the road
    [/^notebooks\/solutions\//, 0.5],
    [/^(reference|benchmarks|data)\/|^(CONTRIBUTING|genindex|index)$/, 0.4],
  ];
  const weight = (page) => KINDS.find(([name]) => name.test(page))?.[1] ?? 1;
  const stemmer = new Stemmer();
  const stems = (text) => new Set(splitQuery(text.toLowerCase()).map((word) => stemmer.stemWord(word)));
  // With a space around each word, so that lambda is no part of lambda_coord.
  const spaced = (text) => ` ${splitQuery(text.toLowerCase()).join(" ")} `;
  const sum = (words, rarity) => [...words].reduce((total, word) => total + rarity(word), 0);

  let sections; // what a page's places are called: {page, anchor, heading, texts: [{stems, spaced, isHeading}]}
  let rarity; // of a stem, among these texts
  function prepare({ alltitles, indexentries }) {
    sections = new Map();
    const frequency = new Map();
    const add = (text, isHeading, [page, anchor, isMain = true]) => {
      if (!isMain) return; // a function, which Sphinx finds
      const key = `${page}#${anchor ?? ""}`;
      if (!sections.has(key)) sections.set(key, { page, anchor: anchor ?? "", heading: null, texts: [] });
      if (isHeading) sections.get(key).heading = text;
      sections.get(key).texts.push({ stems: stems(text), spaced: spaced(text), isHeading });
      for (const stem of stems(text)) frequency.set(stem, (frequency.get(stem) ?? 0) + 1);
    };
    for (const [text, places] of Object.entries(alltitles)) places.forEach((place) => add(text, true, place));
    for (const [text, places] of Object.entries(indexentries)) places.forEach((place) => add(text, false, place));
    const count = [...sections.values()].reduce((total, { texts }) => total + texts.length, 0);
    rarity = (stem) => Math.log(1 + count / (frequency.get(stem) ?? Infinity));
  }

  function alike(text, asked) {
    const shared = sum([...asked.stems].filter((stem) => text.stems.has(stem)), rarity);
    const share = shared / Math.sqrt(sum(text.stems, rarity) * sum(asked.stems, rarity) || 1);
    if (text.spaced.includes(asked.spaced) || (text.stems.size > 1 && asked.spaced.includes(text.spaced)))
      return share + 0.5;
    const inOrder = asked.pairs.filter((pair) => text.spaced.includes(pair)).length;
    return share + (0.5 * inOrder) / (asked.pairs.length || 1);
  }

  // Which share of the words asked for a page holds, by number of the page.
  function coverage(terms, { terms: inText, titleterms: inTitle }) {
    const found = new Map();
    for (const term of terms)
      for (const page of new Set([inText[term] ?? [], inTitle[term] ?? []].flat()))
        found.set(page, (found.get(page) ?? 0) + 1 / terms.size);
    return found;
  }

  const search = Search._performSearch;
  Search._performSearch = (query, terms, ...more) => {
    const index = Search._index;
    if (!sections) prepare(index);
    const others = search(query, terms, ...more);
    const words = splitQuery(query.toLowerCase());
    const pairs = words
      .slice(1)
      .map((word, n) => [words[n], word])
      .filter((pair) => !pair.some((one) => stopwords.has(one)))
      .map((pair) => ` ${pair.join(" ")} `);
    const asked = { stems: stems(query), spaced: spaced(query), pairs };
    const covered = coverage(terms, index);
    const best = new Map(); // the best place of each page
    for (const section of sections.values()) {
      const score = (isHeading) =>
        Math.max(0, ...section.texts.filter((text) => text.isHeading === isHeading).map((text) => alike(text, asked)));
      const [heading, said] = [score(true), 0.8 * score(false)];
      const total = Math.max(heading, said) + 0.3 * Math.min(heading, said);
      if (total > 0.25 && total > (best.get(section.page)?.total ?? 0)) best.set(section.page, { ...section, total });
    }
    const first = [...best.values()].map(({ page, anchor, heading, total }) => {
      const title = heading && heading !== index.titles[page] ? `${index.titles[page]} > ${heading}` : index.titles[page];
      const score = (total + 0.5 * (covered.get(page) ?? 0)) * weight(index.docnames[page]);
      return [index.docnames[page], title, anchor && `#${anchor}`, null, score, index.filenames[page], SearchResultKind.title];
    });
    const pages = new Set(first.map(([page]) => page));
    // The last one is shown first.
    return [...others.filter(([page]) => !pages.has(page)), ...first.sort((one, two) => one[4] - two[4])];
  };
})();
