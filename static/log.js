'use strict';

/* The live tail of the log page. Lines arrive from the page's stream (psthreads.js), each with its number.

   While it follows, new lines are added and the end stays in view. Otherwise, or while text in the log is selected,
   nothing on the page moves or goes: lines are added below while there is room, and then only counted. Without a level
   numbers have no gaps: missing lines are fetched, so that each line is there once, in order. */

(() => {
  const box = document.getElementById('log');
  if (!box) return;
  const MOST = 1000; // lines in the page
  const FETCHED = 1000; // lines of one request
  const CAUGHT_UP = 5000; // with more lines than these to fetch, the page is loaded again at its end
  const TEXT = 600; // characters of a line that are shown
  const NEAR = 8; // pixels from the end that still count as the end
  const RETRY = 1000;

  const rows = box.querySelector('tbody');
  const button = document.getElementById('follow');
  const link = document.getElementById('new-lines');
  const range = document.getElementById('range');
  const level = box.dataset.level ?? '';
  const text = (box.dataset.text ?? '').toLowerCase();
  const isTail = 'next' in box.dataset; // otherwise the page shows an earlier part, and new lines are only counted

  let next = Number(box.dataset.next ?? 0); // the number of the next line
  let day = [...rows.querySelectorAll('.day')].at(-1)?.textContent ?? '';
  let count = rows.querySelectorAll('tr[id]').length;
  let isFollowing = false;
  let stoppedByScroll = false;
  let unseen = 0; // lines that arrived while it did not follow
  let left = 0; // the first line that is only counted; 0 when all are on the page
  let lastTop = 0;
  let waiting = []; // lines to add
  let timer = 0;

  // Rows.

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
      whole.textContent = 'full line';
      row.lastElementChild.append(whole);
    }
    return row;
  }

  function add(lines) {
    const fragment = document.createDocumentFragment();
    for (const line of lines) {
      const lineDay = line.datetime.slice(0, 10);
      if (lineDay !== day) {
        day = lineDay;
        const row = document.createElement('tr');
        row.className = 'day';
        const head = document.createElement('th');
        head.colSpan = 4;
        head.scope = 'rowgroup';
        head.textContent = day;
        row.append(head);
        fragment.append(row);
      }
      fragment.append(rowOf(line));
    }
    rows.append(fragment);
    count += lines.length;
    document.getElementById('no-lines')?.remove();
  }

  function trim() {
    let dayRow = null; // of the first line that stays
    while (count > MOST) {
      const first = rows.firstElementChild;
      if (first.id) count -= 1; else dayRow = first;
      first.remove();
    }
    if (dayRow && !rows.firstElementChild?.classList.contains('day')) rows.prepend(dayRow);
  }

  function toEnd() {
    box.scrollTop = box.scrollHeight;
    lastTop = box.scrollTop;
  }

  function hasSelection() {
    const selection = getSelection();
    if (rows.contains(document.activeElement)) return true; // keyboard focus in the log holds it still, too
    return Boolean(selection) && !selection.isCollapsed && (box.contains(selection.anchorNode) || box.contains(selection.focusNode));
  }

  function flush() {
    timer = 0;
    const lines = waiting;
    waiting = [];
    if (!lines.length) return;
    if (isFollowing && !hasSelection() && !left) {
      const latest = lines.slice(-MOST); // Older ones would be trimmed again.
      if (latest.length < lines.length) {
        rows.replaceChildren();
        count = 0;
        day = '';
      }
      add(latest);
      trim();
      toEnd();
      update();
      return;
    }
    const room = isTail && !left ? Math.max(0, MOST - count) : 0;
    add(lines.slice(0, room));
    if (lines.length > room && !left) left = lines[room].seq;
    unseen += lines.length;
    update();
  }

  function updateRange() {
    const first = rows.querySelector('tr[id]')?.id.slice(1);
    if (!first) return;
    const last = rows.lastElementChild.id.slice(1);
    const say = (number) => Number(number).toLocaleString('en');
    range.textContent = level || text
      ? `${say(count)} of lines ${say(first)} to ${say(next - 1)} match; ${say(next - 1)} lines in total`
      : `Lines ${say(first)} to ${say(last)} of ${say(next - 1)}`;
  }

  function update() {
    if (isTail) updateRange();
    link.hidden = !unseen;
    if (unseen) link.textContent = unseen === 1 ? '1 new line' : `${unseen.toLocaleString('en')} new lines`;
  }

  function show(line) {
    if (text && !line.message.toLowerCase().includes(text)) return;
    waiting.push(line);
    // A timer, not the next frame: a hidden page has no frames, and lines would pile up.
    timer ||= setTimeout(flush, 50);
  }

  // Arrivals, one after the other: while lines are fetched, later ones wait.

  let turn = Promise.resolve();

  function inTurn(work) {
    turn = turn.then(work).catch((error) => console.error(error));
    return turn;
  }

  async function take(line) {
    if (line.seq < next) return; // It is here already.
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
      let page = null;
      try {
        const answer = await fetch(address, { headers: { Accept: 'application/json', 'HX-Request': 'true' } });
        if (answer.redirected || [401, 403, 404].includes(answer.status)) return; // psthreads.js reloads the page, which explains it.
        if (answer.ok) page = await answer.json();
      } catch {
        // The connection is lost: try again below.
      }
      if (!page) {
        await new Promise((resolve) => { setTimeout(resolve, RETRY); });
        continue;
      }
      for (const line of page.events) {
        if (line.seq < next) continue;
        next = line.seq + 1;
        show(line);
      }
      next = Math.max(next, page.next);
      if (page.next > page.total) return;
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
    update();
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
      flush(); // Lines that still wait were counted, and are fetched below.
      const last = next - 1;
      next = left;
      left = 0;
      unseen = 0;
      await fetchUpTo(last);
      flush();
      update();
    });
  }

  // A link to a line needs its number in the query, which the server sees: the line may not be on the page by then.
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
