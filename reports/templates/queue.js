'use strict';
(() => {
  const all = JSON.parse(document.getElementById('data').textContent);
  const byId = (id) => document.getElementById(id);
  const order = ['FAIL', 'ERROR', 'REVIEW', 'INCONCLUSIVE', 'PASS', 'NOT_APPLICABLE'];
  const label = { FAIL: 'fail', ERROR: 'auditor error', REVIEW: 'review', INCONCLUSIVE: 'not decided', PASS: 'pass', NOT_APPLICABLE: 'not applicable', new: 'new' };
  const symbol = { FAIL: '✗', ERROR: '!', REVIEW: '?', INCONCLUSIVE: '…', PASS: '✓', NOT_APPLICABLE: '–' };
  const state = { verdicts: new Set(), q: '', rule: '', family: 0, grouped: false, changed: false, sort: 'v', down: false };
  const CHUNK = 120;
  for (const row of all) {
    row.s = [row.p ? '#' + row.p : '', row.h, row.f, row.m, row.d, ...row.r.map((r) => r[0]), ...row.r.map((r) => r[1])].join(' ').toLowerCase();
  }

  const keys = {
    p: (r) => r.p ?? Infinity,
    v: (r) => order.indexOf(r.v) * 3 + r.k,
    r: (r) => (r.r.length ? r.r[0][1] + r.r[0][0] : '\uffff'),
    b: (r) => r.b ?? Infinity,
    d: (r) => r.d || '\uffff',
    n: (r) => -r.n,
    w: (r) => (r.c ? 0 : 1) * 10 + order.indexOf(r.w),
  };
  const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

  function selected() {
    const terms = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    let rows = all.filter((row) =>
      (!state.verdicts.size || state.verdicts.has(row.v)) &&
      (!state.rule || row.r.some((r) => r[0] === state.rule)) &&
      (!state.family || row.g === state.family) &&
      (!state.changed || row.c) &&
      terms.every((term) => row.s.includes(term)));
    const key = keys[state.sort];
    const sign = state.down ? -1 : 1;
    rows.sort((a, b) => sign * compare(key(a), key(b)) || b.n - a.n || (a.p ?? 0) - (b.p ?? 0));
    if (state.grouped) {
      const seen = new Set();
      rows = rows.filter((row) => !row.g || (!seen.has(row.g) && seen.add(row.g)));
    }
    return rows;
  }

  function element(name, text, attributes = {}) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  function cell(name, ...children) {
    const made = element('td', undefined, { 'data-name': name });
    made.append(...children);
    return made;
  }

  const verdict = (name) => element('span', `${symbol[name] ?? ''} ${label[name] ?? name}`, { class: `v v-${name}` });

  function number(row) {
    const made = element('td', undefined, { class: 'number' });
    if (row.p == null) made.textContent = row.h;
    else made.append(element('a', `#${row.p}`, { href: `https://github.com/openai/parameter-golf/pull/${row.p}`, rel: 'noreferrer' }));
    return made;
  }

  function finding(row) {
    const made = element('td');
    if (!row.x.length) { made.textContent = row.m; return made; }
    const open = element('button', row.m, { type: 'button', 'aria-expanded': 'false' });
    open.addEventListener('click', () => {
      const shown = open.getAttribute('aria-expanded') === 'true';
      open.setAttribute('aria-expanded', String(!shown));
      if (shown) { open.nextElementSibling.remove(); return; }
      const list = element('ul', undefined, { class: 'notes' });
      for (const [rule, where, message] of row.x) list.append(element('li', `${rule}, ${where}: ${message}`));
      open.after(list);
    });
    made.append(open);
    return made;
  }

  function family(row) {
    if (row.n < 2) return element('td');
    const only = element('button', `${row.n} heads`, { type: 'button', class: 'link', 'aria-label': `Show the ${row.n} heads of family ${row.g}` });
    only.addEventListener('click', () => { state.family = state.family === row.g ? 0 : row.g; state.grouped = false; byId('grouped').checked = false; draw(); });
    return cell('Family', only);
  }

  function line(row) {
    const made = document.createElement('tr');
    const rules = row.r.slice(0, 3).map((r) => element('span', `${r[1]} ${r[0]}`, { class: `rule v-${r[2]}` }));
    if (row.r.length > 3) rules.push(element('span', `and ${row.r.length - 3} more`, { class: 'rule muted' }));
    const claimed = row.b == null ? element('td') : cell('Claimed', row.b.toFixed(4));
    const before = row.c ? cell('Before', label[row.w] === label[row.v] ? 'new commit' : label[row.w] ?? row.w) : element('td');
    made.append(number(row), cell('Verdict', verdict(row.v)), rules.length ? cell('Rules', ...rules) : element('td'),
      finding(row), claimed, row.d ? cell('Date', row.d) : element('td'), family(row), before);
    return made;
  }

  let drawing = 0;
  function draw() {
    const rows = selected();
    const body = byId('rows');
    const turn = ++drawing;
    body.replaceChildren(...rows.slice(0, CHUNK).map(line));
    const more = (from) => {
      if (turn !== drawing || from >= rows.length) return;
      body.append(...rows.slice(from, from + CHUNK).map(line));
      setTimeout(more, 0, from + CHUNK);
    };
    setTimeout(more, 0, CHUNK);
    byId('status').textContent = `${rows.length.toLocaleString('en')} of ${all.length.toLocaleString('en')} heads` + (state.family ? `, script family ${state.family} only` : '');
    for (const button of document.querySelectorAll('[data-sort]')) {
      const mine = button.dataset.sort === state.sort;
      button.closest('th').setAttribute('aria-sort', mine ? (state.down ? 'descending' : 'ascending') : 'none');
    }
    remember();
  }

  function remember() {
    const said = new URLSearchParams();
    if (state.verdicts.size) said.set('verdict', [...state.verdicts].join('.'));
    for (const key of ['q', 'rule']) if (state[key]) said.set(key, state[key]);
    if (state.family) said.set('family', state.family);
    if (state.grouped) said.set('grouped', '1');
    if (state.changed) said.set('changed', '1');
    if (state.sort !== 'v' || state.down) said.set('sort', (state.down ? '-' : '') + state.sort);
    history.replaceState(null, '', said.size ? `#${said}` : '#');
  }

  function recall() {
    const said = new URLSearchParams(location.hash.slice(1));
    state.verdicts = new Set((said.get('verdict') ?? '').split('.').filter((v) => order.includes(v)));
    state.q = said.get('q') ?? '';
    state.rule = said.get('rule') ?? '';
    state.family = Number(said.get('family') ?? 0);
    state.grouped = said.has('grouped');
    state.changed = said.has('changed');
    const sort = (said.get('sort') ?? 'v').replace('-', '');
    state.sort = sort in keys ? sort : 'v';
    state.down = (said.get('sort') ?? '').startsWith('-');
    show();
  }

  function show() {
    byId('search').value = state.q;
    byId('rule').value = state.rule;
    byId('grouped').checked = state.grouped;
    if (byId('changed')) byId('changed').checked = state.changed;
    for (const button of document.querySelectorAll('[data-verdict]')) button.setAttribute('aria-pressed', String(state.verdicts.has(button.dataset.verdict)));
  }

  function exported() {
    // A cell that starts like a formula is quoted with an apostrophe, so that no spreadsheet runs it.
    const quote = (value) => {
      const text = String(value ?? '');
      return `"${(/^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text).replaceAll('"', '""')}"`;
    };
    const head = ['pr', 'head', 'folder', 'verdict', 'rules', 'finding', 'claimed_bpb', 'date', 'family', 'family_size', 'before', 'run'];
    const lines = selected().map((r) => [r.p, r.h, r.f, r.v, r.r.map((x) => x[0]).join(' '), r.m, r.b, r.d, r.g, r.n, r.w, r.o].map(quote).join(','));
    return [head.join(','), ...lines].join('\r\n') + '\r\n';
  }

  byId('csv').addEventListener('click', () => {
    const link = element('a', undefined, { download: 'queue.csv' });
    link.href = URL.createObjectURL(new Blob([exported()], { type: 'text/csv' }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  byId('search').addEventListener('input', (event) => { state.q = event.target.value; draw(); });
  byId('rule').addEventListener('change', (event) => { state.rule = event.target.value; draw(); });
  byId('grouped').addEventListener('change', (event) => { state.grouped = event.target.checked; draw(); });
  byId('changed')?.addEventListener('change', (event) => { state.changed = event.target.checked; draw(); });
  byId('controls').addEventListener('submit', (event) => event.preventDefault());
  byId('controls').addEventListener('reset', (event) => {
    event.preventDefault();
    Object.assign(state, { verdicts: new Set(), q: '', rule: '', family: 0, grouped: false, changed: false, sort: 'v', down: false });
    show();
    draw();
  });
  for (const button of document.querySelectorAll('[data-verdict]')) {
    button.addEventListener('click', () => {
      const name = button.dataset.verdict;
      if (!state.verdicts.delete(name)) state.verdicts.add(name);
      show();
      draw();
    });
  }
  for (const button of document.querySelectorAll('[data-sort]')) {
    button.addEventListener('click', () => {
      state.down = state.sort === button.dataset.sort && !state.down;
      state.sort = button.dataset.sort;
      draw();
    });
  }
  document.addEventListener('keydown', (event) => {
    if (event.key === '/' && !event.target.matches('input, select, textarea')) { event.preventDefault(); byId('search').focus(); }
    if (event.key === 'Escape' && event.target === byId('search')) { state.q = ''; show(); draw(); }
  });
  addEventListener('hashchange', () => { recall(); draw(); });
  recall();
  draw();
})();
