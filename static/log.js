'use strict';

/* The log page's live tail. Lines come from the page's stream (psthreads.js), each with its number.

   While it follows, new lines are added and the end stays in view. While it does not, or while something in the log is
   selected, nothing that is there moves or goes: lines are added below as long as there is room, and then only counted.
   Without levels numbers have no gaps: lines that did not come are fetched, so that each is there once, in order. */

(() => {
  const box = document.getElementById('log');
  if (!box) return;
  const MOST = 1000; // lines in the page
  const FETCHED = 1000; // lines of one request
  const CAUGHT_UP = 5000; // more than these are not fetched one after the other: the end is loaded anew
  const TEXT = 600; // characters of a line that are shown
  const NEAR = 8; // pixels from the end that still are the end
  const RETRY = 1000;

  const rows = box.querySelector('tbody');
  const button = document.getElementById('follow');
  const link = document.getElementById('new-lines');
  const range = document.getElementById('range');
  const level = box.dataset.level ?? '';
  const text = (box.dataset.text ?? '').toLowerCase();
  const isTail = 'next' in box.dataset; // else the page shows an earlier part, and new lines are only counted

  let next = Number(box.dataset.next ?? 0); // the number of the line that comes next
  let day = [...rows.querySelectorAll('.day')].at(-1)?.textContent ?? '';
  let held = rows.querySelectorAll('tr[id]').length;
  let isFollowing = false;
  let stoppedByScroll = false;
  let unseen = 0; // lines that have come while it did not follow
  let left = 0; // the number from which lines are counted only; 0 where all are there
  let lastTop = 0;
  let waiting = []; // lines to be added
  let timer = 0;

  // What is shown.

  function cell(row, content) {
    row.insertCell().textContent = content;
  }

  function rowOf(line) {
    const row = document.createElement('tr');
    row.id = `L${line.seq}`;
    if (line.level === 'WARN' || line.level === 'ERROR') row.className = line.level.toLowerCase();
    const anchor = document.createElement('a');
    anchor.href = `#L${line.seq}`;
    anchor.textContent = line.seq;
    row.insertCell().append(anchor);
    cell(row, line.datetime.slice(11, 23));
    cell(row, line.level);
    const isCut = line.message.length > TEXT;
    cell(row, isCut ? `${line.message.slice(0, TEXT)}… ` : line.message);
    if (isCut) {
      const whole = document.createElement('a');
      whole.href = `?from=${line.seq}&whole=true`;
      whole.textContent = 'whole line';
      row.lastElementChild.append(whole);
    }
    return row;
  }

  function add(lines) {
    const fragment = document.createDocumentFragment();
    for (const line of lines) {
      const its = line.datetime.slice(0, 10);
      if (its !== day) {
        day = its;
        const row = document.createElement('tr');
        row.className = 'day';
        const head = document.createElement('th');
        head.colSpan = 4;
        head.scope = 'rowgroup';
        head.textContent = its;
        row.append(head);
        fragment.append(row);
      }
      fragment.append(rowOf(line));
    }
    rows.append(fragment);
    held += lines.length;
    document.getElementById('no-lines')?.remove();
  }

  function trim() {
    let its = null; // the day of the first line that is left
    while (held > MOST) {
      const first = rows.firstElementChild;
      if (first.id) held -= 1; else its = first;
      first.remove();
    }
    if (its && !rows.firstElementChild?.classList.contains('day')) rows.prepend(its);
  }

  function toEnd() {
    box.scrollTop = box.scrollHeight;
    lastTop = box.scrollTop;
  }

  function hasSelection() {
    const selection = getSelection();
    if (rows.contains(document.activeElement)) return true; // who is there with the keyboard is not moved either
    return Boolean(selection) && !selection.isCollapsed && (box.contains(selection.anchorNode) || box.contains(selection.focusNode));
  }

  function flush() {
    timer = 0;
    const lines = waiting;
    waiting = [];
    if (!lines.length) return;
    if (isFollowing && !hasSelection() && !left) {
      const kept = lines.slice(-MOST); // What would be trimmed again need not be added.
      if (kept.length < lines.length) {
        rows.replaceChildren();
        held = 0;
        day = '';
      }
      add(kept);
      trim();
      toEnd();
      tell();
      return;
    }
    const room = isTail && !left ? Math.max(0, MOST - held) : 0;
    add(lines.slice(0, room));
    if (lines.length > room && !left) left = lines[room].seq;
    unseen += lines.length;
    tell();
  }

  function tellRange() {
    const first = rows.querySelector('tr[id]')?.id.slice(1);
    if (!first) return;
    const last = rows.lastElementChild.id.slice(1);
    const say = (number) => Number(number).toLocaleString('en');
    range.textContent = level || text
      ? `${say(held)} of lines ${say(first)} to ${say(next - 1)} match; ${say(next - 1)} lines in all`
      : `Lines ${say(first)} to ${say(last)} of ${say(next - 1)}`;
  }

  function tell() {
    if (isTail) tellRange();
    link.hidden = !unseen;
    if (unseen) link.textContent = unseen === 1 ? '1 new line' : `${unseen.toLocaleString('en')} new lines`;
  }

  function show(line) {
    if (text && !line.message.toLowerCase().includes(text)) return;
    waiting.push(line);
    // A timer and not the next frame: a hidden page has no frames, and lines would pile up.
    timer ||= setTimeout(flush, 50);
  }

  // What comes, one after the other: while lines are fetched, later ones wait.

  let turn = Promise.resolve();

  function inTurn(work) {
    turn = turn.then(work).catch((error) => console.error(error));
    return turn;
  }

  async function take(line) {
    if (line.seq < next) return; // It came already.
    if (!level && next && line.seq > next) await fetchUpTo(line.seq - 1);
    if (line.seq < next) return;
    next = line.seq + 1;
    show(line);
  }

  /** Fetch the lines from `next` to that number. */
  async function fetchUpTo(last) {
    while (next <= last) {
      const address = new URL(box.dataset.logs, location.href);
      address.searchParams.set('from', next);
      address.searchParams.set('page-size', Math.min(FETCHED, last - next + 1));
      if (level) address.searchParams.set('level', level);
      let found = null;
      try {
        const answer = await fetch(address, { headers: { Accept: 'application/json', 'HX-Request': 'true' } });
        if (answer.redirected || [401, 403, 404].includes(answer.status)) return; // psthreads.js leads to the page that says why.
        if (answer.ok) found = await answer.json();
      } catch {
        // The connection is lost: it is tried again below.
      }
      if (!found) {
        await new Promise((resolve) => { setTimeout(resolve, RETRY); });
        continue;
      }
      for (const line of found.events) {
        if (line.seq < next) continue;
        next = line.seq + 1;
        show(line);
      }
      next = Math.max(next, found.next);
      if (found.next > found.total) return;
    }
  }

  document.addEventListener('stream', (event) => {
    const { kind, data } = event.detail;
    if (kind === 'log') {
      if (isTail) inTurn(() => take(data)); else show(data);
    } else if (['completed', 'failed', 'cancelled'].includes(data.status)) {
      inTurn(() => {
        if (button) button.hidden = true;
      });
    }
  });

  // Following.

  function follow(on) {
    isFollowing = on;
    stoppedByScroll = false;
    button.setAttribute('aria-pressed', String(on));
    button.textContent = on ? 'Following' : 'Follow';
    if (on) catchUp();
  }

  function catchUp() {
    if (hasSelection()) return;
    unseen = 0;
    tell();
    if (!left) {
      trim();
      toEnd();
      return;
    }
    if (next - left > CAUGHT_UP) {
      location.assign(link.href);
      return;
    }
    inTurn(async () => {
      if (!left) return;
      clearTimeout(timer);
      flush(); // Counted lines that still wait are among those that are fetched.
      const last = next - 1;
      next = left;
      left = 0;
      unseen = 0;
      await fetchUpTo(last);
      flush();
      tell();
    });
  }

  // A line's own link has its number where the server sees it, so that the line is found however much follows it.
  function keep() {
    const number = /^#L(\d+)$/.exec(location.hash)?.[1];
    if (!number) return;
    if (isFollowing) follow(false);
    const address = new URL(location.href);
    for (const name of ['after', 'before']) address.searchParams.delete(name);
    address.searchParams.set('from', number);
    if (document.getElementById(`L${number}`)) history.replaceState(history.state, '', address);
    else if (address.href !== location.href) location.replace(address);
  }

  addEventListener('hashchange', keep);
  if (!isTail) {
    keep();
    return;
  }

  if (button) {
    button.hidden = false;
    button.addEventListener('click', () => follow(!isFollowing));
    link.addEventListener('click', (event) => {
      event.preventDefault();
      follow(true);
    });
    box.addEventListener('scroll', () => {
      const top = box.scrollTop;
      const isAtEnd = box.scrollHeight - box.clientHeight - top < NEAR;
      if (isFollowing && top < lastTop && !isAtEnd) {
        follow(false);
        stoppedByScroll = true;
      } else if (!isFollowing && stoppedByScroll && isAtEnd && !left) {
        follow(true);
      }
      lastTop = top;
    });
    document.addEventListener('selectionchange', () => {
      if (isFollowing && (unseen || left) && !hasSelection()) catchUp();
    });
    follow(!location.hash);
  } else if (!location.hash) {
    toEnd();
  }
  keep();
})();
