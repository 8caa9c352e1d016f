'use strict';

/* What the pages do besides HTML. Nothing here is needed to use them: it keeps what is shown up to date.

   data-stream="URL"        the page follows these Server-Sent Events (one element in a page)
   data-every="ms"          a live part that is refreshed at least so often, in place of every 15 s
   data-hold="form"         a live part that stands still while boxes of that form are ticked
   data-live[="thread id"]  gets the event `changed` when any thread, or that one, has changed; htmx then fetches it again
   data-select-all="form"   ticks all boxes with data-pick of that form; data-count="form" says how many are ticked
   data-back                an error page of a server that cannot answer just now: it is left when the page is there again

   Every event of the stream is also given to other scripts, as `stream` on the document with {kind, data}. */

(() => {
  const KINDS = ['status', 'progress', 'log', 'reset', 'gone'];
  const FIRST_PAUSE = 500; // milliseconds before the stream is opened again, doubled each time up to
  const LONGEST_PAUSE = 5000;
  const UNSEEN = 600; // a loss that is over by then is not worth a word
  const BETWEEN = 1000; // from one refresh of a part to its next
  const AT_LEAST_EVERY = 15000; // so that times such as "3 min ago" stay true, and a store that is away is noticed
  const RETRY = 3000;
  const REST = 10000; // a page that is hidden for so long gives its connection back: browsers have only six for a server
  const LOST = 'Connection lost: trying again…';
  const FULL = 'Live updates are not available just now: this page is refreshed every few seconds';
  const AWAY = 'The store of the threads is away: trying again…';

  // The banner: one sentence on what is wrong, and for a moment that it is right again.

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
      const told = [...troubles.values()];
      say([AWAY, LOST, FULL].find((text) => told.includes(text)), told.every((text) => text === FULL) ? 'warn' : 'bad');
    } else if (before) {
      say('Connected again', 'good');
    }
    if (!troubles.size) clearing = setTimeout(() => say('', ''), 3000);
  }

  // The parts of the page that are kept up to date.

  const refreshed = new WeakMap(); // by part: when it last was, and the timer of its next time
  let isBehind = false; // whether something has changed while the page was hidden

  function refresh(part) {
    const state = refreshed.get(part) ?? { at: 0, timer: 0 };
    refreshed.set(part, state);
    if (document.hidden) isBehind = true; // all are refreshed when the page is shown again
    if (state.timer || document.hidden) return;
    // While rows are ticked the list stands still: what one is about to act on must not move or go.
    if (part.dataset.hold && boxes(part.dataset.hold).some((box) => box.checked)) return;
    const wait = state.at + BETWEEN - performance.now();
    state.timer = setTimeout(() => {
      state.timer = 0;
      state.at = performance.now();
      if (document.hidden) isBehind = true; else if (part.isConnected) part.dispatchEvent(new CustomEvent('changed'));
    }, state.at ? Math.max(0, wait) : 0);
  }

  function changed(thread) {
    for (const part of document.querySelectorAll('[data-live]')) {
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
    // It is not to be seen any more, or not so: the page itself says why.
    if (status >= 400 && status < 500 && status !== 408 && status !== 429) location.reload();
    else again(event.target, status === 503 ? AWAY : LOST);
  });
  document.addEventListener('htmx:error', (event) => {
    if (event.detail.ctx) again(event.target, LOST);
  });
  document.addEventListener('htmx:before:swap', (event) => {
    const { ctx, tasks } = event.detail;
    if (ctx.response.status >= 400) return;
    trouble('request', '');
    if (ctx.response.raw.redirected) {
      event.preventDefault(); // The session has ended: the page leads to the one to sign in.
      location.reload();
    } else if (!tasks.some((task) => task.fragment.childElementCount)) {
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
        clearTimeout(this.telling);
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
      // The stream of one thread has an end, its final status: that alone has an id among the events of one thread.
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
      // Not left to the browser: it gives up for good where the answer is no stream, such as a 503.
      this.close();
      clearTimeout(this.telling);
      if (troubles.get('stream') !== FULL) {
        this.telling = setTimeout(() => trouble('stream', LOST), troubles.size ? 0 : UNSEEN);
      }
      this.timer = setTimeout(() => this.retry(), this.pause);
      this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
    }

    async retry() {
      if (this.pause > FIRST_PAUSE * 2) {
        // What an EventSource was answered is not told: the page itself is asked what is the matter.
        try {
          const answer = await fetch(location.href, { method: 'HEAD', headers: { 'HX-Request': 'true' } });
          if (stream !== this) return;
          if (answer.redirected || [401, 403, 404].includes(answer.status)) {
            location.reload();
            return;
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
      // After a long time the connection may be dead without anybody having noticed.
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
    const found = boxes(name);
    const ticked = found.filter((box) => box.checked).length;
    all.checked = ticked > 0 && ticked === found.length;
    all.indeterminate = ticked > 0 && ticked < found.length;
    for (const said of document.querySelectorAll(`[data-count="${CSS.escape(name)}"]`)) {
      const text = ticked ? `${ticked.toLocaleString('en')} selected; the list stands still meanwhile` : 'None selected';
      if (said.textContent !== text) said.textContent = text;
    }
  }

  document.addEventListener('change', (event) => {
    const box = event.target;
    if (box.type !== 'checkbox') return;
    if (box.dataset.selectAll) for (const each of boxes(box.dataset.selectAll)) each.checked = box.checked;
    document.querySelectorAll('[data-select-all]').forEach(count);
    for (const part of document.querySelectorAll('[data-hold]')) refresh(part); // if it may move again
  });

  // The menu closes as menus do.

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
      if (answer.status !== 503) location.reload();
      trouble('page', AWAY);
    } catch {
      trouble('page', LOST);
    }
    setTimeout(back, RETRY);
  }

  // htmx is to make no code of text, whatever an attribute says, and to leave open what a reader has opened.

  if (typeof htmx !== 'undefined') {
    const refuse = function refuse() { throw new Error('No code is made of text here'); };
    htmx.registerExtension('psthreads', {
      init: (api) => api.initSecurity(null, refuse, refuse),
      htmx_before_morph_attr: (part, { attrName }) => !(part.tagName === 'DETAILS' && attrName === 'open'),
    });
  }

  document.addEventListener('DOMContentLoaded', () => {
    document.querySelectorAll('[data-select-all]').forEach(count);
    if (document.querySelector('[data-back]')) setTimeout(back, RETRY);
    const following = document.querySelector('[data-stream]');
    if (following?.dataset.stream) {
      stream = new Stream(following.dataset.stream);
      stream.open();
    }
  });
})();
