// What recurrent ops keep: read once at the beginning of a segment into the invocation's own array,
// and written as of the tokens that the pass asks for. So the slot that is read may be written.
struct StateCursor {
  SegmentInfo segment;
  uint next;  // among the writes of the segment
  uint64_t offset;
};

StateCursor CursorOf(RecurrentParams p, uint segment) {
  return StateCursor(SegmentAt(segment), 0, 4ul * p.state_offset);
}

// Where the state of before is; 0: there is none.
uint64_t StateBefore(RecurrentParams p, StateCursor c) {
  return p.keeps_state != 0 && c.segment.state != 0 ? c.segment.state + c.offset : 0ul;
}

// Where the state after `tokens` tokens is wanted; 0: nowhere. To be asked for each token in turn.
uint64_t StateWanted(RecurrentParams p, inout StateCursor c, uint tokens) {
  if (p.keeps_state == 0 || c.next == c.segment.writes) return 0ul;
  const StateWriteInfo write = StateWrites(Pass(push.pass).h.state_writes).v[c.segment.first_write + c.next];
  if (write.tokens != tokens) return 0ul;
  ++c.next;
  return write.to + c.offset;
}
