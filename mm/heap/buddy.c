/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * buddy.c - the buddy system (Knowlton, CACM 1965; Knuth, TAOCP 1, 2.5) as a tree of rooms.
 *
 * Concept. An arena of 2^m units is the root of a binary tree, node 1; the halves of node n's
 * block are those of nodes 2n and 2n + 1, buddies of each other. A node is in one of three states.
 * Its room alone says which. For a node of order k:
 *
 *	room = k + 1	  free as a whole
 *	room = TAKEN	  allocated as a whole
 *	room in 0..k	  split: one less than the room is the order of the largest free block below
 *
 * Below a node that is free or taken, rooms have no meaning. So a split writes two rooms, and a
 * union writes one.
 *
 * Invariants
 *
 *   B1  The room of a split node is united(rooms of its halves); hence no two free buddies.
 *   B2  A node of order 0 is not split.
 *   B3  The root has no buddy: a union cannot leave the arena, whatever is beside it.
 *
 * Why not free lists. A list through the free blocks is shorter to walk. But it lies in memory that
 * a caller may still write to by mistake, and each link must be checked before it is followed. Here
 * the heap keeps nothing in any block: a stray write into a block damages the data of its owner and
 * never the heap. The same tree answers all three questions (where is room, which block is at this
 * address, is the buddy free), each on one path from the root, so no second structure can disagree
 * with it.
 *
 * Costs. An operation walks at most BUDDY_ORDER_MAX levels down and up; the halves of a node
 * share a byte, so a level is one load. The upper six levels are one cache line.
 *
 * Constants. Rooms are 0..m + 1 and TAKEN: a nibble serves for m <= 13. A tree is a byte a unit.
 * The arena is the largest whose tree fits in one frame together with a few words for the heap:
 * 2048 units, m = 11, 128 KiB; metadata is then 1/32 of the memory it manages.
 */
#include "mm/heap/buddy.h"

#include "mm/check.h"

_Static_assert(BUDDY_ORDER_MAX + 1 < BUDDY_TAKEN, "rooms must fit in a nibble");

#define ROOT 1u

/* For the contracts: the room of a node, and what of a room is free. */
/*@ logic integer room{L}(struct buddy *buddy, integer node) =
      node % 2 == 0 ? buddy->pair[node / 2] % 16 : buddy->pair[node / 2] / 16;
    logic integer free(integer room) = room == BUDDY_TAKEN ? 0 : room; */

/*@ requires \valid_read(buddy) && node < 1 << (BUDDY_ORDER_MAX + 1);
    terminates \true;
    assigns \nothing;
    ensures \result == room((struct buddy *)buddy, node) && 0 <= \result <= 15; */
static unsigned room_of(const struct buddy *buddy, unsigned node)
{
	//@ ghost halves(buddy->pair[node >> 1], node, 0);
	return buddy->pair[node >> 1] >> (4 * (node & 1)) & 15;
}

/*@ requires \valid(buddy) && node < 1 << (BUDDY_ORDER_MAX + 1) && room <= 15;
    terminates \true;
    assigns buddy->pair[node / 2];
    ensures room(buddy, node) == room;
    ensures \forall integer n; 0 <= n < 1 << (BUDDY_ORDER_MAX + 1) && n != node ==>
	room(buddy, n) == room{Pre}(buddy, n); */
static void set_room(struct buddy *buddy, unsigned node, unsigned room)
{
	unsigned shift = 4 * (node & 1);
	uint8_t *pair = &buddy->pair[node >> 1];

	//@ ghost halves(*pair, node, room);
	*pair = (uint8_t)((*pair & ~(15u << shift)) | room << shift);
}

/*@ terminates \true;
    assigns \nothing;
    ensures \result == free(room); */
static unsigned free_room(unsigned room)
{
	return room == BUDDY_TAKEN ? 0 : room;
}

/*
 * The room of a block of `order` from the rooms of its halves. Buddies are united here and only
 * here.
 */
/*@ requires order <= BUDDY_ORDER_MAX;
    terminates \true;
    assigns \nothing;
    behavior both_free:
      assumes left == order && right == order;
      ensures \result == order + 1;
    behavior split:
      assumes left != order || right != order;
      ensures \result == \max(free(left), free(right));
    complete behaviors;
    disjoint behaviors; */
static unsigned united(unsigned left, unsigned right, unsigned order)
{
	if (left == order && right == order)
		return order + 1;
	left = free_room(left);
	right = free_room(right);
	return left > right ? left : right;
}

/* Restores B1 above `node` of `order`. Stops at a room that does not change. */
static void repair_above(struct buddy *buddy, unsigned node, unsigned order)
{
	while (node > ROOT) {
		unsigned room;

		node >>= 1;
		order++;
		room = united(room_of(buddy, 2 * node), room_of(buddy, 2 * node + 1), order);
		if (room == room_of(buddy, node))
			return;
		set_room(buddy, node, room);
	}
}

void buddy_init(struct buddy *buddy, unsigned order)
{
	assert(order <= BUDDY_ORDER_MAX);
	buddy->order = order;
	set_room(buddy, ROOT, order + 1);
}

/*@ requires \valid_read(buddy);
    terminates \true;
    assigns \nothing;
    ensures \result == free(room((struct buddy *)buddy, 1)); */
unsigned buddy_room(const struct buddy *buddy)
{
	return free_room(room_of(buddy, ROOT));
}

/*
 * Of the halves that have room for `order`, the half with less room: this keeps large blocks whole.
 */
/*@ requires \valid_read(buddy) && 1 <= node < 1 << BUDDY_ORDER_MAX;
    requires free(room((struct buddy *)buddy, 2 * node)) > order ||
	free(room((struct buddy *)buddy, 2 * node + 1)) > order;
    terminates \true;
    assigns \nothing;
    ensures \result == 2 * node || \result == 2 * node + 1;
    ensures free(room((struct buddy *)buddy, \result)) > order;
    ensures \forall integer half; 2 * node <= half <= 2 * node + 1 ==>
	free(room((struct buddy *)buddy, half)) > order ==>
	free(room((struct buddy *)buddy, \result)) <= free(room((struct buddy *)buddy, half)); */
static unsigned tighter_half(const struct buddy *buddy, unsigned node, unsigned order)
{
	unsigned left = free_room(room_of(buddy, 2 * node));
	unsigned right = free_room(room_of(buddy, 2 * node + 1));

	if (left > order && (right <= order || left <= right))
		return 2 * node;
	return 2 * node + 1;
}

size_t buddy_alloc(struct buddy *buddy, unsigned order)
{
	unsigned node = ROOT;

	assert(buddy_room(buddy) > order);
	for (unsigned at = buddy->order; at > order; at--) {
		if (room_of(buddy, node) == at + 1) {
			set_room(buddy, 2 * node, at);
			set_room(buddy, 2 * node + 1, at);
		}
		node = tighter_half(buddy, node, order);
	}
	assert(room_of(buddy, node) == order + 1);
	set_room(buddy, node, BUDDY_TAKEN);
	repair_above(buddy, node, order);
	return BUDDY_UNIT * (((size_t)node << order) - ((size_t)1 << buddy->order));
}

struct buddy_block buddy_find(const struct buddy *buddy, size_t offset)
{
	size_t unit = offset / BUDDY_UNIT;
	unsigned at = buddy->order;
	unsigned node = ROOT;

	assert(unit >> buddy->order == 0);
	while (room_of(buddy, node) <= at) {
		assert(at > 0);
		at--;
		node = 2 * node + (unit >> at & 1);
	}
	return (struct buddy_block){
		.offset = offset & ~(buddy_bytes(at) - 1),
		.order = at,
		.allocated = room_of(buddy, node) == BUDDY_TAKEN,
	};
}

void buddy_free(struct buddy *buddy, struct buddy_block block)
{
	size_t index = block.offset / buddy_bytes(block.order);
	unsigned node = (ROOT << (buddy->order - block.order)) + (unsigned)index;

	assert(room_of(buddy, node) == BUDDY_TAKEN);
	set_room(buddy, node, block.order + 1);
	repair_above(buddy, node, block.order);
}

/* Recursion is as deep as the tree: BUDDY_ORDER_MAX calls. */
static void validate_node(const struct buddy *buddy, unsigned node, unsigned order,
			  struct buddy_count *count)
{
	unsigned room = room_of(buddy, node);
	unsigned expected;

	if (room == BUDDY_TAKEN) {
		count->live_bytes += buddy_bytes(order);
		count->live_blocks++;
		return;
	}
	if (room == order + 1) {
		count->free_bytes += buddy_bytes(order);
		return;
	}
	check(order > 0 && room <= order, "buddy: node %u of order %u has room %u", node, order,
	      room);
	validate_node(buddy, 2 * node, order - 1, count);
	validate_node(buddy, 2 * node + 1, order - 1, count);
	expected = united(room_of(buddy, 2 * node), room_of(buddy, 2 * node + 1), order);
	check(room == expected, "buddy: node %u of order %u has room %u, its halves make %u", node,
	      order, room, expected);
}

struct buddy_count buddy_validate(const struct buddy *buddy)
{
	struct buddy_count count = {0, 0, 0};

	check(buddy->order <= BUDDY_ORDER_MAX, "buddy: an arena of order %u, at most %u",
	      buddy->order, BUDDY_ORDER_MAX);
	validate_node(buddy, ROOT, buddy->order, &count);
	check(count.free_bytes + count.live_bytes == buddy_bytes(buddy->order),
	      "buddy: %zu bytes free and %zu allocated in an arena of %zu", count.free_bytes,
	      count.live_bytes, buddy_bytes(buddy->order));
	return count;
}
