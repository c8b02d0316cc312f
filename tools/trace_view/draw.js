// SPDX-License-Identifier: BSD-2-Clause
/*
 * draw.js - the model of a trace, and its drawing on a canvas. tools/trace_page.py puts it into a page
 * together with the trace, which is in the Chrome trace event format. Nothing is loaded from anywhere.
 *
 * A track has rows: a slice lies one row below the slice around it. Slices of one row do not overlap,
 * so both their begins and their ends rise, and what is in view is found by bisection.
 */
"use strict";

const ROW = 17, GAP = 7, LEFT = 92, TOP = 30, CURVE = 34, ARROWS_MOST = 400, LEAST_US = 0.01;
const SAME_US = 5e-4; /* times of the file have three decimals */
const INK = "#1b1d1f", MUTED = "#5d6368", GRID = "#e3e5e6", LINE = "#c9cdd0", MARKED = "#b3001b";
const FONT = '12px system-ui, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif';
const PLAIN = "#d3d7da";

/* ---- the model ---------------------------------------------------------------------------- */

function place(items) {
	const around = [];
	items.sort((a, b) => a.start - b.start || b.end - a.end || a.order - b.order);
	for (const item of items) {
		while (around.length && around[around.length - 1] <= item.start &&
		       around[around.length - 1] < item.end)
			around.pop();
		item.row = around.length;
		if (!item.isMark)
			around.push(item.end);
	}
}

function rowsOf(items) {
	const rows = [];
	for (const item of items) {
		while (rows.length <= item.row)
			rows.push([]);
		if (!item.isMark)
			rows[item.row].push(item);
	}
	return rows;
}

/* The last item of the row that covers that time. */
function lastAt(row, time) {
	let found = null;
	for (let i = firstFrom(row, time - SAME_US); i < row.length && row[i].start <= time + SAME_US; i++)
		found = row[i];
	return found;
}

/* The innermost item of the track at that time; a mark of that very time comes first. */
function itemAt(track, time) {
	let found = lastAt(track.marks, time);
	for (let row = track.rows.length - 1; !found && row >= 0; row--)
		found = lastAt(track.rows[row], time);
	return found;
}

function readTracks(events) {
	const tracks = new Map();
	for (const event of events) {
		if (event.ph !== "M" || !event.name.startsWith("thread_"))
			continue;
		const track = tracks.get(event.tid) || {items: [], order: event.tid};
		if (event.name === "thread_name")
			track.name = event.args.name;
		else
			track.order = event.args.sort_index;
		tracks.set(event.tid, track);
	}
	return tracks;
}

/* From the events of the file: tracks with rows and marks, curves, arrows, and the number of each kind. */
function readModel(file) {
	const events = file.traceEvents, tracks = readTracks(events), sent = new Map();
	const marks = new Set(globalThis.TRACE_MARKS);
	const model = {arrows: [], curves: new Map(), kinds: new Map(), end: 0, about: file.otherData};

	events.forEach((event, order) => {
		const track = tracks.get(event.tid), end = event.ts + (event.dur || 0);
		if (event.ph === "X" || event.ph === "i") {
			track.items.push({name: event.name, kind: event.cat, args: event.args || {}, order,
					  start: event.ts, end, isMark: marks.has(event.cat), track});
			model.kinds.set(event.cat, (model.kinds.get(event.cat) || 0) + 1);
		} else if (event.ph === "C") {
			const points = model.curves.get(event.name) || [];
			points.push([event.ts, Object.values(event.args)[0]]);
			model.curves.set(event.name, points);
		} else if (event.ph === "s") {
			sent.set(event.cat + event.id, event);
		}
		if (end > model.end)
			model.end = end;
	});
	model.tracks = [...tracks.values()].sort((a, b) => a.order - b.order);
	for (const track of model.tracks) {
		place(track.items);
		track.rows = rowsOf(track.items);
		track.marks = track.items.filter(item => item.isMark);
	}
	for (const event of events) {
		const from = event.ph === "f" && sent.get(event.cat + event.id);
		if (from)
			model.arrows.push({name: event.name, start: from.ts, end: event.ts,
					   from: itemAt(tracks.get(from.tid), from.ts),
					   to: itemAt(tracks.get(event.tid), event.ts)});
	}
	model.arrows = model.arrows.filter(arrow => arrow.from && arrow.to);
	model.arrows.sort((a, b) => a.start - b.start);
	return model;
}

/* The first item of the row that ends at that time or later. */
function firstFrom(row, time) {
	let low = 0, high = row.length;
	while (low < high) {
		const middle = (low + high) >> 1;
		if (row[middle].end < time)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

function roundStep(least) {
	const size = Math.pow(10, Math.floor(Math.log10(least)));
	return [1, 2, 5].map(part => part * size).find(step => step >= least * 0.999999) || 10 * size;
}

function timeText(us, step) {
	const [unit, size] = us >= 1e6 ? ["s", 1e6] : us >= 1e3 ? ["ms", 1e3] : ["µs", 1];
	const digits = step ? Math.max(0, Math.ceil(-Math.log10(step / size) - 1e-9)) : us / size < 100 ? 2 : 1;
	return `${(us / size).toFixed(Math.min(digits, 6))} ${unit}`;
}

/* What is said of an item: pairs of a word and a text. */
function describe(item, about) {
	const said = [["at", `${timeText(item.start, 0.001)} on ${item.track.name}`]];
	if (!item.isMark) {
		const ticks = Math.round((item.end - item.start) * about.ticks_hz / 1e6 * 100) / 100;
		said.unshift(["duration", `${timeText(item.end - item.start)} (${ticks} ticks)`]);
	}
	for (const [name, value] of Object.entries(item.args))
		said.push([name.replaceAll("_", " "), String(value)]);
	return said;
}

function matches(item, words) {
	const text = `${item.name} ${item.kind} ${item.track.name} ${Object.values(item.args).join(" ")}`;
	const lower = text.toLowerCase();
	return words.every(word => lower.includes(word));
}

/* Marks the matching items, and returns them by time. */
function search(model, query) {
	const words = query.toLowerCase().split(/\s+/).filter(Boolean), found = [];
	for (const track of model.tracks)
		for (const item of track.items) {
			item.isFound = words.length > 0 && matches(item, words);
			if (item.isFound)
				found.push(item);
		}
	return found.sort((a, b) => a.start - b.start);
}

/* ---- the drawing ---------------------------------------------------------------------------- */

/* Puts each track and curve at its height, from the top; returns the height of all. */
function arrange(model) {
	let y = 0;
	model.lanes = [];
	const lane = (height, fields) => {
		model.lanes.push({y, height, ...fields});
		y += height + GAP;
	};
	for (const track of model.tracks) {
		track.y = y;
		lane(Math.max(track.rows.length, 1) * ROW, {track, name: track.name});
		if (track === model.tracks[0])
			for (const [name, points] of model.curves)
				lane(CURVE, {points, name});
	}
	return y;
}

function shown(view, item) {
	return !view.hidden.has(item.kind);
}

function colourOf(kind) {
	return globalThis.TRACE_COLOURS[kind] || PLAIN;
}

function drawItem(c, view, item, x, y, width) {
	const dim = view.found && !item.isFound;
	c.globalAlpha = dim ? 0.22 : 1;
	c.fillStyle = colourOf(item.kind);
	c.fillRect(x, y, width, ROW - 1);
	if (width > 3) {
		c.fillStyle = "rgba(0,0,0,.28)";
		c.fillRect(x + width - 1, y, 1, ROW - 1);
	}
	const text = `${item.name} ${timeText(item.end - item.start)}`, room = Math.floor((width - 8) / 6.6);
	if (room >= 3) {
		c.fillStyle = INK;
		c.fillText(text.length <= room ? text : item.name.length <= room ? item.name
			   : item.name.slice(0, room - 1) + "…", x + 4, y + 12);
	}
	c.globalAlpha = 1;
	if (item === view.selected || item === view.hover || (view.found && item.isFound)) {
		c.strokeStyle = item === view.selected ? INK : MARKED;
		c.lineWidth = item === view.selected ? 2 : 1;
		c.strokeRect(x + 0.5, y + 0.5, Math.max(width - 1, 1), ROW - 2);
	}
}

/* Of items that begin in one pixel only the first is drawn, and those that are looked for. */
function drawRow(c, view, row, y) {
	let last = -1;
	for (let i = firstFrom(row, view.start); i < row.length && row[i].start <= view.end; i++) {
		const item = row[i], x = Math.max(view.x(item.start), LEFT);
		const width = Math.max(Math.min(view.x(item.end), view.width) - x, 1.5);
		if (!shown(view, item) || (Math.floor(x + width) === last && !item.isFound))
			continue;
		last = Math.floor(x + width);
		drawItem(c, view, item, x, y, width);
	}
}

function drawMarks(c, view, track, y) {
	let last = -1;
	for (let i = firstFrom(track.marks, view.start); i < track.marks.length; i++) {
		const item = track.marks[i], x = view.x(item.start), top = y + item.row * ROW;
		if (item.start > view.end)
			break;
		if (!shown(view, item) || (Math.floor(x) === last && !item.isFound))
			continue;
		last = Math.floor(x);
		const marked = item === view.selected || item === view.hover || (view.found && item.isFound);
		c.fillStyle = marked ? MARKED : INK;
		c.globalAlpha = view.found && !item.isFound ? 0.22 : 1;
		c.beginPath();
		c.moveTo(x, top + 1);
		c.lineTo(x + 4, top + ROW - 3);
		c.lineTo(x - 4, top + ROW - 3);
		c.fill();
		c.globalAlpha = 1;
	}
}

function drawCurve(c, view, lane, y) {
	const most = Math.max(1, ...lane.points.map(point => point[1])), scale = (CURVE - 4) / most;
	let x = LEFT, level = 0;
	c.fillStyle = "#c9a6dc";
	for (const [time, value] of [...lane.points, [view.end, 0]]) {
		const to = Math.min(Math.max(view.x(time), LEFT), view.width);
		if (level && to > x)
			c.fillRect(x, y + CURVE - level * scale, to - x, level * scale);
		[x, level] = [to, value];
	}
}

function middleOf(view, item) {
	return item.track.y + item.row * ROW + ROW / 2 + TOP - view.scroll;
}

function drawArrow(c, view, arrow) {
	const x = view.x(arrow.start), to = view.x(arrow.end), y = middleOf(view, arrow.from);
	const below = middleOf(view, arrow.to), bend = Math.max(12, Math.min(60, (to - x) / 2));
	c.beginPath();
	c.moveTo(x, y);
	c.bezierCurveTo(x + bend, y, to - bend, below, to, below);
	c.stroke();
	c.beginPath();
	c.moveTo(to, below);
	c.lineTo(to - 7, below - 3.5);
	c.lineTo(to - 7, below + 3.5);
	c.fill();
}

/* Arrows of the selected and of the hovered item always; the others where they can be told apart. */
function drawArrows(c, view, model) {
	const touches = item => item && (item === view.selected || item === view.hover);
	const seen = model.arrows.filter(arrow => arrow.start <= view.end && arrow.end >= view.start &&
					 shown(view, arrow.from) && shown(view, arrow.to));
	view.arrows = seen.length;
	for (const arrow of seen) {
		const own = touches(arrow.from) || touches(arrow.to);
		if (!own && seen.length > ARROWS_MOST)
			continue;
		c.strokeStyle = c.fillStyle = own ? MARKED : MUTED;
		c.lineWidth = own ? 1.8 : 0.8;
		drawArrow(c, view, arrow);
	}
}

function drawAxis(c, view, model) {
	const step = roundStep((view.end - view.start) / Math.max(2, (view.width - LEFT) / 110));
	c.fillStyle = MUTED;
	for (let i = Math.max(0, Math.ceil(view.start / step)); i * step <= view.end; i++) {
		const x = view.x(i * step);
		c.fillStyle = GRID;
		c.fillRect(x, TOP - 8, 1, view.height);
		c.fillStyle = MUTED;
		c.fillText(timeText(i * step, step), x + 4, 14);
	}
	c.fillStyle = GRID; /* where in the whole this is */
	c.fillRect(LEFT, 0, view.width - LEFT, 3);
	c.fillStyle = MUTED;
	const scale = (view.width - LEFT) / model.end;
	c.fillRect(LEFT + Math.max(view.start, 0) * scale, 0, Math.max((view.end - view.start) * scale, 3), 3);
}

function drawNames(c, view, model) {
	c.fillStyle = "#ffffff";
	c.fillRect(0, 0, LEFT - 1, view.height);
	c.fillStyle = LINE;
	c.fillRect(LEFT - 1, 0, 1, view.height);
	for (const lane of model.lanes) {
		const y = lane.y + TOP - view.scroll, words = lane.name.split(" "), half = words.length >> 1;
		c.fillStyle = INK;
		if (lane.name.length <= 13)
			c.fillText(lane.name, 6, y + 12);
		else
			[words.slice(0, half), words.slice(half)].forEach((part, i) =>
				c.fillText(part.join(" "), 6, y + 12 + 15 * i));
		c.fillStyle = GRID;
		c.fillRect(0, y + lane.height + GAP / 2, view.width, 1);
	}
}

function draw(c, view, model) {
	c.fillStyle = "#ffffff";
	c.fillRect(0, 0, view.width, view.height);
	c.font = FONT;
	c.lineWidth = 1;
	drawAxis(c, view, model);
	c.save();
	c.beginPath();
	c.rect(LEFT, TOP - 4, view.width - LEFT, view.height - TOP + 4);
	c.clip();
	for (const lane of model.lanes) {
		const y = lane.y + TOP - view.scroll;
		if (y > view.height || y + lane.height < 0)
			continue;
		if (lane.points) {
			drawCurve(c, view, lane, y);
			continue;
		}
		lane.track.rows.forEach((row, i) => drawRow(c, view, row, y + i * ROW));
		drawMarks(c, view, lane.track, y);
	}
	drawArrows(c, view, model);
	c.restore();
	drawNames(c, view, model);
}

/* The item at that place of the canvas, or within a few pixels of it. */
function pick(view, model, x, y) {
	const lane = model.lanes.find(one => one.track && y >= one.y + TOP - view.scroll &&
				      y < one.y + TOP - view.scroll + one.height);
	if (!lane || x < LEFT)
		return null;
	const row = Math.floor((y - lane.y - TOP + view.scroll) / ROW);
	const near = (list, pixels) => {
		const from = firstFrom(list, view.time(x - pixels));
		let best = null;
		for (let i = from; i < list.length && view.x(list[i].start) <= x + pixels; i++) {
			const left = view.x(list[i].start), right = view.x(list[i].end);
			const away = x < left ? left - x : x > right ? x - right : 0;
			if (shown(view, list[i]) && list[i].row === row && (!best || away < best.away))
				best = {item: list[i], away};
		}
		return best && best.item;
	};
	return near(lane.track.marks, 5) || near(lane.track.rows[row] || [], 3);
}

function makeView(model) {
	return {
		start: 0, end: model.end || 1, scroll: 0, width: 1000, height: 600, hidden: new Set(),
		hover: null, selected: null, found: null, arrows: 0,
		x(time) { return LEFT + (time - this.start) * (this.width - LEFT) / (this.end - this.start); },
		time(x) { return this.start + (x - LEFT) * (this.end - this.start) / (this.width - LEFT); },
		/* Shows that range, or as much of it as makes sense. */
		show(start, end) {
			const room = model.end * 0.02, length = Math.min(Math.max(end - start, LEAST_US),
									 model.end + 2 * room);
			this.start = Math.min(Math.max(start, -room), model.end + room - length);
			this.end = this.start + length;
		},
		zoom(factor, x) {
			const at = this.time(x);
			this.show(at - (at - this.start) * factor, at + (this.end - at) * factor);
		},
	};
}
