'use strict';
(() => {
  const root = document.documentElement;
  const button = document.getElementById('theme');
  const dark = () => root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  button.hidden = false;
  button.addEventListener('click', () => { root.dataset.theme = dark() ? 'light' : 'dark'; });
  const findings = [...document.querySelectorAll('article[tabindex]')];
  const step = (by) => {
    const at = findings.indexOf(document.activeElement.closest('article'));
    const next = findings[at < 0 ? (by > 0 ? 0 : findings.length - 1) : at + by];
    if (next) { next.focus(); next.scrollIntoView({ block: 'start' }); }
  };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches('input, select, textarea')) return;
    if (event.key === 'j') step(1);
    if (event.key === 'k') step(-1);
  });
  for (const copy of document.querySelectorAll('button.copy')) {
    copy.hidden = !navigator.clipboard;
    copy.addEventListener('click', async () => {
      await navigator.clipboard.writeText(copy.previousElementSibling.textContent);
      copy.textContent = 'Copied';
    });
  }
})();
