// SPDX-License-Identifier: BSD-2-Clause
/*
 * model.js - the model of a trace, and what is said of its events. tools/trace_page.py puts this into a page
 * together with the trace, which is in the Chrome trace event format. Nothing is loaded from anywhere.
 *
 * A track has rows: a slice lies one row below the slice around it. Slices of one row do not overlap,
 * so both their begins and their ends rise, and what is in view is found by bisection.
 */
"use strict";

const SAME_US = 5e-4; /* times of the file have three decimals */

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
