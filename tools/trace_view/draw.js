// SPDX-License-Identifier: BSD-2-Clause
/* draw.js - draws the model of a trace (model.js) on a canvas, and finds what is at a place of it. */
"use strict";

const ROW = 17, GAP = 7, LEFT = 92, TOP = 30, CURVE = 34, ARROWS_MOST = 400, LEAST_US = 0.01;
const INK = "#1b1d1f", MUTED = "#5d6368", GRID = "#e3e5e6", LINE = "#c9cdd0", MARKED = "#b3001b";
const FONT = '12px system-ui, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif';
const PLAIN = "#d3d7da";

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
	const dim = view.found && !item.isFound, thin = (item.end - item.start) * view.scale() < 1;
	c.globalAlpha = dim ? 0.22 : thin ? 0.5 : 1;
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

/*
 * Of items that end in one pixel only the first is drawn, and those that are looked for. What is shorter
 * than a pixel is pale, because the pixel stands for more than it.
 */
function drawRow(c, view, row, y) {
	let last = -1;
	for (let i = firstFrom(row, view.start); i < row.length && row[i].start <= view.end; i++) {
		const item = row[i], x = Math.max(view.x(item.start), LEFT);
		const width = Math.max(Math.min(view.x(item.end), view.width) - x, 1);
		if (!shown(view, item))
			continue;
		if (Math.floor(x + width) === last && !item.isFound) {
			if (!view.found)
				i = Math.max(i, firstFrom(row, view.time(last)) - 1);
			continue;
		}
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
		c.fillStyle = colourOf(item.kind);
		c.strokeStyle = marked ? MARKED : INK;
		c.lineWidth = marked ? 2 : 1;
		c.globalAlpha = view.found && !item.isFound ? 0.22 : 1;
		c.beginPath();
		c.moveTo(x, top + 1);
		c.lineTo(x + 4, top + ROW - 3);
		c.lineTo(x - 4, top + ROW - 3);
		c.closePath();
		c.fill();
		c.stroke();
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

/* Arrows of the selected and of the hovered item always; the others where they can be distinguished. */
function drawArrows(c, view, model) {
	const touches = item => item && (item === view.selected || item === view.hover);
	const seen = model.arrows.filter(arrow => arrow.start <= view.end && arrow.end >= view.start &&
					 shown(view, arrow.from) && shown(view, arrow.to));
	view.arrows = seen.length;
	for (const arrow of seen) {
		const own = touches(arrow.from) || touches(arrow.to);
		if (!own && (seen.length > ARROWS_MOST || (arrow.end - arrow.start) * view.scale() < 3))
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
		scale() { return (this.width - LEFT) / (this.end - this.start); },
		x(time) { return LEFT + (time - this.start) * this.scale(); },
		time(x) { return this.start + (x - LEFT) / this.scale(); },
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
