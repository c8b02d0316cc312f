// SPDX-License-Identifier: BSD-2-Clause
/* controls.js - mouse, keys, search, legend and texts of the page that draw.js draws on. */
"use strict";

const byId = id => document.getElementById(id);
const model = readModel(JSON.parse(byId("trace").textContent));
const view = makeView(model), canvas = byId("lanes"), context = canvas.getContext("2d");
const tip = byId("tip"), all = arrange(model);
let found = [], drag = null, isDue = false;

function element(tag, text, fields) {
	return Object.assign(document.createElement(tag), {textContent: text, ...fields});
}

function redraw() {
	if (isDue)
		return;
	isDue = true;
	requestAnimationFrame(() => {
		isDue = false;
		draw(context, view, model);
		const few = view.arrows <= ARROWS_MOST ? "" : ": too many to draw, zoom in";
		byId("range").textContent = `${timeText(view.end - view.start)} of ${timeText(model.end)}; ` +
			`${view.arrows} arrows${few}`;
	});
}

function resize() {
	const box = canvas.getBoundingClientRect(), dots = window.devicePixelRatio || 1;
	[view.width, view.height] = [box.width, box.height];
	[canvas.width, canvas.height] = [box.width * dots, box.height * dots];
	context.setTransform(dots, 0, 0, dots, 0, 0);
	scrollTo(view.scroll);
}

function scrollTo(y) {
	view.scroll = Math.max(0, Math.min(y, all + TOP - view.height));
	redraw();
}

function list(item) {
	const kind = globalThis.TRACE_MEANINGS[item.kind];
	const rows = describe(item, model.about).concat(kind ? [["meaning", kind]] : []);
	return rows.flatMap(([word, text]) => [element("dt", word), element("dd", text)]);
}

function showTip(item, x, y) {
	tip.hidden = !item;
	if (!item)
		return;
	tip.replaceChildren(element("strong", item.name), element("dl", ""));
	tip.lastChild.replaceChildren(...list(item));
	const box = tip.getBoundingClientRect();
	tip.style.left = `${Math.max(4, Math.min(x + 14, window.innerWidth - box.width - 8))}px`;
	tip.style.top = `${y + 18 + box.height > window.innerHeight ? y - box.height - 10 : y + 18}px`;
}

/* A line for each arrow of the item; a click on it shows the other end. */
function arrowButtons(item) {
	const own = model.arrows.filter(arrow => arrow.from === item || arrow.to === item);
	return own.map(arrow => {
		const other = arrow.from === item ? arrow.to : arrow.from;
		const text = `${arrow.name} ${arrow.from === item ? "→" : "←"} ${other.name} on ` +
			`${other.track.name}, ${timeText(arrow.end - arrow.start)}`;
		return element("button", text, {onclick: () => select(other, true)});
	});
}

function select(item, goes) {
	view.selected = item;
	if (item && goes) {
		const length = view.end - view.start, y = item.track.y + item.row * ROW;
		if (item.start < view.start || item.end > view.end)
			view.show(item.start - length / 2, item.start + length / 2);
		if (y < view.scroll || y + ROW + TOP > view.scroll + view.height)
			scrollTo(y - view.height / 2);
	}
	byId("details").replaceChildren(...(item ? [element("strong", item.name), element("dl", ""),
						    ...arrowButtons(item)] : [byId("hint").content.cloneNode(true)]));
	if (item)
		byId("details").querySelector("dl").replaceChildren(...list(item));
	redraw();
}

function fit(item) {
	const room = Math.max((item.end - item.start) * 0.2, LEAST_US * 20);
	view.show(item.start - room, item.end + room);
	redraw();
}

/* ---- search ------------------------------------------------------------------------------- */

function showCount() {
	const at = found.indexOf(view.selected);
	byId("count").textContent = !view.found ? "" : at < 0 ? `${found.length} found`
		: `${at + 1} of ${found.length}`;
}

function lookFor(query) {
	found = search(model, query).filter(item => shown(view, item));
	view.found = query.trim() ? found : null;
	showCount();
	redraw();
}

function step(by) {
	if (!found.length)
		return;
	const at = found.indexOf(view.selected), here = found.findIndex(item => item.end >= view.start);
	const next = at >= 0 ? at + by : by > 0 ? Math.max(here, 0) : here - 1;
	select(found[(next + found.length) % found.length], true);
	showCount();
}

byId("search").addEventListener("input", event => lookFor(event.target.value));
byId("search").addEventListener("keydown", event => {
	event.stopPropagation();
	if (event.key === "Enter")
		step(event.shiftKey ? -1 : 1);
	else if (event.key === "Escape")
		canvas.focus();
});

/* ---- the legend ----------------------------------------------------------------------------- */

function makeLegend() {
	for (const [kind, count] of [...model.kinds].sort((a, b) => b[1] - a[1])) {
		const label = element("label", "", {title: globalThis.TRACE_MEANINGS[kind] || ""});
		const box = element("input", "", {type: "checkbox", checked: true});
		box.onchange = () => {
			view.hidden[box.checked ? "delete" : "add"](kind);
			lookFor(byId("search").value);
		};
		const patch = element("i", "");
		patch.style.background = colourOf(kind);
		label.append(box, patch, `${kind} ${count.toLocaleString("en")}`);
		byId("legend").append(label);
	}
}

/* ---- mouse and keys --------------------------------------------------------------------------- */

canvas.addEventListener("wheel", event => {
	event.preventDefault();
	const box = canvas.getBoundingClientRect(), x = event.clientX - box.left;
	const lines = event.deltaMode === 1 ? 16 : 1, across = event.shiftKey ? event.deltaY : event.deltaX;
	if (x < LEFT)
		scrollTo(view.scroll + event.deltaY * lines);
	else if (across)
		view.show(view.time(LEFT + across * lines), view.time(view.width + across * lines));
	else
		view.zoom(Math.exp(event.deltaY * lines * 0.002), x);
	redraw();
}, {passive: false});

canvas.addEventListener("pointerdown", event => {
	const box = canvas.getBoundingClientRect();
	canvas.setPointerCapture(event.pointerId);
	drag = {x: event.clientX, y: event.clientY, start: view.start, end: view.end, scroll: view.scroll,
		marks: event.shiftKey, from: view.time(event.clientX - box.left), moved: false};
});

/* With shift a range is marked, and its length said; else the view moves. */
function dragTo(event, x) {
	const away = event.clientX - drag.x, band = byId("band");
	drag.moved = drag.moved || Math.abs(away) + Math.abs(event.clientY - drag.y) > 3;
	if (drag.marks) {
		const from = Math.min(view.x(drag.from), x);
		Object.assign(band.style, {left: `${from}px`, width: `${Math.abs(x - view.x(drag.from))}px`});
		band.textContent = timeText(Math.abs(view.time(x) - drag.from));
		band.hidden = false;
	} else if (drag.moved) {
		const moved = away * (drag.end - drag.start) / (view.width - LEFT);
		view.show(drag.start - moved, drag.end - moved);
		scrollTo(drag.scroll - event.clientY + drag.y);
	}
}

canvas.addEventListener("pointermove", event => {
	const box = canvas.getBoundingClientRect(), x = event.clientX - box.left;
	if (drag)
		return dragTo(event, x);
	const item = pick(view, model, x, event.clientY - box.top);
	if (item !== view.hover)
		redraw();
	view.hover = item;
	showTip(item, event.clientX, event.clientY);
});

canvas.addEventListener("pointerup", event => {
	const box = canvas.getBoundingClientRect(), x = event.clientX - box.left;
	if (drag && drag.marks && drag.moved)
		view.show(Math.min(drag.from, view.time(x)), Math.max(drag.from, view.time(x)));
	else if (drag && !drag.moved)
		select(pick(view, model, x, event.clientY - box.top), false);
	byId("band").hidden = true;
	drag = null;
	showCount();
	redraw();
});

canvas.addEventListener("pointerleave", () => showTip(view.hover = null));
canvas.addEventListener("dblclick", () => view.selected && fit(view.selected));

function neighbour(by) {
	const item = view.selected, items = item && item.track.items.filter(one => shown(view, one));
	const next = item && items[items.indexOf(item) + by];
	if (next)
		select(next, true);
}

const pan = part => view.show(view.start + part * (view.end - view.start), view.end + part * (view.end - view.start));
const middle = () => (LEFT + view.width) / 2;
const KEYS = {
	ArrowLeft: () => pan(-0.15), a: () => pan(-0.15), ArrowRight: () => pan(0.15), d: () => pan(0.15),
	ArrowUp: () => scrollTo(view.scroll - 3 * ROW), ArrowDown: () => scrollTo(view.scroll + 3 * ROW),
	w: () => view.zoom(0.7, middle()), "+": () => view.zoom(0.7, middle()),
	s: () => view.zoom(1 / 0.7, middle()), "-": () => view.zoom(1 / 0.7, middle()),
	0: () => view.show(0, model.end), Home: () => view.show(0, model.end),
	f: () => view.selected && fit(view.selected), ".": () => neighbour(1), ",": () => neighbour(-1),
	n: () => step(1), N: () => step(-1), "/": () => byId("search").focus(), Escape: () => select(null),
};

document.addEventListener("keydown", event => {
	if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key])
		return;
	event.preventDefault();
	KEYS[event.key]();
	redraw();
});

for (const button of document.querySelectorAll("[data-key]"))
	button.onclick = () => {
		KEYS[button.dataset.key]();
		redraw();
	};

/* #10.5,20 shows from 10.5 to 20 microseconds. */
function readRange() {
	const [start, end] = location.hash.slice(1).split(",").map(Number);
	view.show(end > start ? start : 0, end > start ? end : model.end);
	redraw();
}

window.addEventListener("hashchange", readRange);
new ResizeObserver(resize).observe(canvas);
makeLegend();
readRange();
select(null);
