'use strict';

/* The live parts of the pages. The pages work without this script; it keeps them up to date.

   data-stream="URL"        the page follows these Server-Sent Events (one element in a page)
   data-every="ms"          a live part that is refreshed at least this often, instead of every 15 s
   data-hold="form"         a live part that pauses while boxes of that form are ticked
   data-live[="thread id"]  gets the event `changed` when any thread, or that one, changes; htmx then fetches it again
   data-live="timer"        is fetched again every 15 s alone
   data-select-all="form"   ticks all boxes with data-pick of that form; data-count="form" shows how many are ticked
   data-suggest="URL"       a field whose datalist gets the names that begin with what is typed
   data-ago, data-since     a time since which the part says what has gone by; it ticks
   data-copy="id"           a button, hidden without this script, that copies the text of that part
   data-back                an error page of an unavailable server: it reloads when the server is back

   Other scripts get every event of the stream, as `stream` on the document with {kind, data}. */

(() => {
  const KINDS = ['status', 'progress', 'log', 'reset', 'gone'];
  const FIRST_PAUSE = 500; // milliseconds before the stream is opened again, doubled each time up to
  const LONGEST_PAUSE = 5000;
  const UNSEEN = 600; // a shorter loss of the connection is not shown
  const BETWEEN = 1000; // from one refresh of a part to the next
  const AT_LEAST_EVERY = 15000; // keeps times such as "3 min ago" true, and notices an unavailable database
  const RETRY = 3000;
  const REST = 10000; // a page that is hidden this long closes its connection: browsers have only six for a server
  const LOST = 'Connection lost. Reconnecting…';
  const FULL = 'Live updates are unavailable. This page refreshes every few seconds.';
  const AWAY = 'The database is unavailable. Reconnecting…';

  // The banner: one sentence on what is wrong, and for a few seconds that all is well again.

  const troubles = new Map();
  let clearing = 0;

  function say(text, kind) {
    const banner = document.getElementById('banner');
    if (!banner || banner.textContent === text) return;
    banner.className = kind;
    banner.textContent = text;
  }

  function trouble(where, text) {
    const before = troubles.size;
    if (text) troubles.set(where, text); else troubles.delete(where);
    clearTimeout(clearing);
    if (troubles.size) {
      const texts = [...troubles.values()];
      say([AWAY, LOST, FULL].find((text) => texts.includes(text)), texts.every((text) => text === FULL) ? 'warn' : 'bad');
    } else if (before) {
      say('Reconnected', 'good');
    }
    if (!troubles.size) clearing = setTimeout(() => say('', ''), 3000);
  }

  // The page loads itself again where an answer failed, but once: what a proxy changes on the way may fail for ever.

  const RELOADED = `psthreads reloaded ${location.pathname}`;

  function reload(rest = Infinity) { // milliseconds until it may load itself again without a success
    const last = sessionStorage.getItem(RELOADED);
    if (last && Date.now() - last < rest) return false;
    sessionStorage.setItem(RELOADED, Date.now());
    location.reload();
    return true;
  }

  // Live parts of the page.

  const refreshed = new WeakMap(); // by part: the time of its last refresh, and the timer of the next
  let isBehind = false; // whether something changed while the page was hidden

  function refresh(part) {
    const state = refreshed.get(part) ?? { at: 0, timer: 0 };
    refreshed.set(part, state);
    if (document.hidden) isBehind = true; // all parts are refreshed when the page is shown again
    if (state.timer || document.hidden) return;
    // While rows are ticked the list is paused: rows that the reader is about to act on must not move or go.
    if (part.dataset.hold && boxes(part.dataset.hold).some((box) => box.checked)) return;
    const wait = state.at + BETWEEN - performance.now();
    state.timer = setTimeout(() => {
      state.timer = 0;
      state.at = performance.now();
      if (document.hidden) isBehind = true; else if (part.isConnected) part.dispatchEvent(new CustomEvent('changed'));
    }, state.at ? Math.max(0, wait) : 0);
  }

  function changed(thread) {
    for (const part of document.querySelectorAll('[data-live]:not([data-live="timer"])')) {
      if (!part.dataset.live || !thread || part.dataset.live === thread) refresh(part);
    }
  }

  setInterval(() => {
    if (!stream) return;
    for (const part of document.querySelectorAll('[data-live]')) {
      if (performance.now() - (refreshed.get(part)?.at ?? 0) >= (Number(part.dataset.every) || AT_LEAST_EVERY)) refresh(part);
    }
  }, AT_LEAST_EVERY / 3);

  document.addEventListener('htmx:response:error', (event) => {
    const status = event.detail.ctx.response.status;
    // The reader may not see it any more: the page itself explains why.
    if (!(status >= 400 && status < 500 && status !== 408 && status !== 429 && reload())) again(event.target, status === 503 ? AWAY : LOST);
  });
  document.addEventListener('htmx:error', (event) => {
    if (event.detail.ctx) again(event.target, LOST);
  });
  document.addEventListener('htmx:before:swap', (event) => {
    const { ctx, tasks } = event.detail;
    for (const task of tasks) localise(task.fragment);
    if (ctx.response.status >= 400) return;
    trouble('request', '');
    if (ctx.response.raw.redirected) {
      event.preventDefault(); // The session has ended: the page leads to sign-in.
      reload();
      return;
    }
    sessionStorage.removeItem(RELOADED);
    if (!tasks.some((task) => task.fragment.childElementCount)) {
      event.preventDefault();
    }
  });
  document.addEventListener('htmx:after:swap', () => document.querySelectorAll('[data-select-all]').forEach(count));

  function again(part, text) {
    trouble('request', text);
    setTimeout(() => { if (part.isConnected) refresh(part); else trouble('request', ''); }, RETRY);
  }

  // The stream.

  let stream = null;

  class Stream {
    constructor(url) {
      this.url = url;
      this.last = ''; // the id of the last event, from which a new connection goes on
      this.pause = FIRST_PAUSE;
      this.timer = 0;
      this.source = null;
    }

    open() {
      this.close();
      const address = new URL(this.url, location.href);
      if (this.last) address.searchParams.set('last-event-id', this.last);
      const source = this.source = new EventSource(address);
      source.onopen = () => {
        this.pause = FIRST_PAUSE;
        clearTimeout(this.notice);
        trouble('stream', '');
      };
      source.onerror = () => this.lost();
      for (const kind of KINDS) source.addEventListener(kind, (event) => this.got(kind, event));
    }

    close() {
      clearTimeout(this.timer);
      this.source?.close();
      this.source = null;
    }

    got(kind, event) {
      if (event.lastEventId) this.last = event.lastEventId;
      let data;
      try {
        data = JSON.parse(event.data);
      } catch {
        return;
      }
      // The stream of one thread ends with its final status, the only event of that stream with an id.
      const isOver = kind === 'status' && event.lastEventId && /\/threads\/[0-9a-f]{32}\/events/.test(this.url)
        && ['completed', 'failed', 'cancelled'].includes(data.status);
      if (isOver) {
        this.close();
        stream = null;
      }
      document.dispatchEvent(new CustomEvent('stream', { detail: { kind, data } }));
      if (kind !== 'log') changed(data.id);
    }

    lost() {
      // Not left to the browser, which gives up for good when the response is no stream, such as a 503.
      this.close();
      clearTimeout(this.notice);
      if (troubles.get('stream') !== FULL) {
        this.notice = setTimeout(() => trouble('stream', LOST), troubles.size ? 0 : UNSEEN);
      }
      this.timer = setTimeout(() => this.retry(), this.pause);
      this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
    }

    async retry() {
      if (this.pause > FIRST_PAUSE * 2) {
        // An EventSource does not tell its response: request the page itself to find out.
        try {
          const answer = await fetch(location.href, { method: 'HEAD', headers: { 'HX-Request': 'true' } });
          if (stream !== this) return;
          if (answer.redirected || [401, 403, 404].includes(answer.status)) {
            if (reload()) return;
          }
          if (answer.status === 503) trouble('stream', AWAY);
          else if (answer.ok) trouble('stream', FULL);
        } catch {
          trouble('stream', LOST);
        }
      }
      if (stream === this) this.open();
    }
  }

  let resting = 0;
  let hiddenAt = 0;

  document.addEventListener('visibilitychange', () => {
    clearTimeout(resting);
    if (document.hidden) {
      hiddenAt = performance.now();
      resting = setTimeout(() => stream?.close(), REST);
    } else {
      // After a long time the connection may be dead without notice.
      if (stream && (!stream.source || performance.now() - hiddenAt >= REST)) stream.open();
      if (isBehind || performance.now() - hiddenAt >= REST) changed('');
      isBehind = false;
    }
  });
  addEventListener('offline', () => stream?.lost());
  addEventListener('online', () => stream?.open());
  addEventListener('pagehide', () => stream?.close());
  addEventListener('pageshow', (event) => { if (event.persisted) stream?.open(); });

  // Lists whose rows can be ticked.

  function boxes(name) {
    return [...document.getElementById(name)?.elements ?? []].filter((box) => 'pick' in box.dataset);
  }

  function count(all) {
    const name = all.dataset.selectAll;
    const picks = boxes(name);
    const ticked = picks.filter((box) => box.checked).length;
    all.checked = ticked > 0 && ticked === picks.length;
    all.indeterminate = ticked > 0 && ticked < picks.length;
    for (const label of document.querySelectorAll(`[data-count="${CSS.escape(name)}"]`)) {
      const text = ticked ? `${ticked.toLocaleString('en')} selected; the list is paused` : 'None selected';
      if (label.textContent !== text) label.textContent = text;
    }
  }

  document.addEventListener('change', (event) => {
    const box = event.target;
    if (box.type !== 'checkbox') return;
    if (box.dataset.selectAll) for (const each of boxes(box.dataset.selectAll)) each.checked = box.checked;
    document.querySelectorAll('[data-select-all]').forEach(count);
    for (const part of document.querySelectorAll('[data-hold]')) refresh(part); // unless it is still paused
  });

  // Times. The server writes UTC: the reader's own time stands before it. What has gone by since a time ticks.

  const UNITS = [[86400, 'd', 3600, 'h'], [3600, 'h', 60, 'min'], [60, 'min', 1, 's']];

  function localise(root) {
    for (const time of root.querySelectorAll('time[datetime]')) {
      const date = new Date(time.dateTime);
      if (!date.getTimezoneOffset()) continue;
      const own = new Date(date - date.getTimezoneOffset() * 60000).toISOString().slice(0, 19).replace('T', ' ');
      const utc = time.title || time.textContent;
      const text = `${own} (${utc.slice(0, 10) === own.slice(0, 10) ? utc.slice(11) : utc})`;
      if (time.title) time.title = text; else time.textContent = text.replace(/ (?!\()/g, '\u00a0');
      time.classList.add('local'); // It may break between the two times.
    }
  }

  function span(seconds) {
    const [step, unit, less, lesser] = UNITS.find(([step]) => seconds >= step) ?? [1, 's', 1, 's'];
    const rest = Math.floor(seconds % step / less);
    return `${Math.floor(seconds / step)} ${unit}${rest ? ` ${rest} ${lesser}` : ''}`;
  }

  function tick() {
    if (document.hidden) return;
    for (const clock of document.querySelectorAll('[data-ago], [data-since]')) {
      const isAgo = 'ago' in clock.dataset;
      const at = isAgo ? Date.parse(clock.dateTime) : Number(clock.dataset.since);
      const seconds = Math.max(0, Math.floor((Date.now() - ahead - at) / 1000));
      const text = !isAgo ? span(seconds) : seconds < 5 ? 'just now' : `${span(seconds).split(' ', 2).join(' ')} ago`;
      if (clock.textContent !== text) clock.textContent = text;
    }
  }

  let ahead = 0; // milliseconds by which this clock is ahead of the server's

  // Buttons that copy a secret.

  async function copy(button) {
    const secret = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(secret.textContent);
      say('Copied', 'good');
    } catch { // Only pages by HTTPS may use the clipboard: what is selected is copied by hand.
      getSelection().selectAllChildren(secret);
      say('Selected: copy it with the keyboard', 'warn');
    }
    clearTimeout(clearing);
    clearing = setTimeout(() => { if (!troubles.size) say('', ''); }, 3000);
  }

  document.addEventListener('click', ({ target }) => {
    if (target.dataset?.copy) copy(target);
  });

  // Fields that suggest names while somebody types: the browser shows those of the field's datalist.

  let suggesting = 0;

  document.addEventListener('input', ({ target }) => {
    if (!target.dataset?.suggest) return;
    clearTimeout(suggesting);
    suggesting = setTimeout(async () => {
      const address = new URL(target.dataset.suggest, location.href);
      address.searchParams.set('prefix', target.value);
      try {
        const answer = await fetch(address);
        const names = answer.ok && !answer.redirected ? await answer.json() : [];
        target.list.replaceChildren(...names.map((value) => Object.assign(document.createElement('option'), { value })));
      } catch { /* Without suggestions the field works as well. */ }
    }, 150);
  });

  // The menu closes on Escape and on a click elsewhere.

  function closeMenus(event) {
    for (const menu of document.querySelectorAll('details.who[open]')) {
      if (event.type === 'keydown' ? event.key === 'Escape' : !menu.contains(event.target)) {
        menu.open = false;
        if (event.type === 'keydown') menu.querySelector('summary').focus();
      }
    }
  }

  document.addEventListener('click', closeMenus);
  document.addEventListener('keydown', closeMenus);

  // An error page that waits for the server.

  async function back() {
    try {
      const answer = await fetch(location.href, { method: 'HEAD' });
      if (answer.status !== 503) reload(10 * RETRY);
      trouble('page', AWAY);
    } catch {
      trouble('page', LOST);
    }
    setTimeout(back, RETRY);
  }

  // htmx must not evaluate text as code, whatever an attribute holds, and must leave open what a reader has opened.

  if (typeof htmx !== 'undefined') {
    const refuse = function refuse() { throw new Error('Text is not evaluated as code here'); };
    htmx.registerExtension('psthreads', {
      init: (api) => api.initSecurity(null, refuse, refuse),
      htmx_before_morph_attr: (part, { attrName }) => !(part.tagName === 'DETAILS' && attrName === 'open'),
    });
  }

  document.addEventListener('DOMContentLoaded', () => {
    document.querySelectorAll('[data-select-all]').forEach(count);
    const arrived = performance.getEntriesByType('navigation')[0]?.responseStart ?? performance.now();
    ahead = performance.timeOrigin + arrived - Number(document.body.dataset.now);
    localise(document);
    setInterval(tick, 1000);
    for (const button of document.querySelectorAll('[data-copy]')) button.hidden = false;
    if (document.querySelector('[data-back]')) setTimeout(back, RETRY);
    else if (!document.querySelector('[data-live]')) sessionStorage.removeItem(RELOADED);
    const following = document.querySelector('[data-stream]');
    if (following?.dataset.stream) {
      stream = new Stream(following.dataset.stream);
      stream.open();
    }
  });
})();
