/** Exec's doubly linked lists: nodes carry their own links, so that queueing allocates nothing. */

/** What can be in a list; in one at a time. */
export class ExecNode {
  /** Set while the node is in a list. */
  next: ExecNode | undefined;
  previous: ExecNode | undefined;
  list: ExecList | undefined;
}

/** A list, first in first out. */
export class ExecList {
  #head: ExecNode | undefined;
  #tail: ExecNode | undefined;

  get isEmpty(): boolean {
    return this.#head === undefined;
  }

  get head(): ExecNode | undefined {
    return this.#head;
  }

  /** AddTail. @throws RangeError when the node is in a list already: its links would be lost. */
  addTail(node: ExecNode): void {
    if (node.list !== undefined) throw new RangeError("this node is in a list already");
    node.list = this;
    node.previous = this.#tail;
    node.next = undefined;
    if (this.#tail === undefined) this.#head = node;
    else this.#tail.next = node;
    this.#tail = node;
  }

  /** RemHead: the oldest node, or undefined. */
  removeHead(): ExecNode | undefined {
    const node = this.#head;
    if (node !== undefined) this.remove(node);
    return node;
  }

  /** Remove. False when the node is not in this list. */
  remove(node: ExecNode): boolean {
    if (node.list !== this) return false;
    if (node.previous === undefined) this.#head = node.next;
    else node.previous.next = node.next;
    if (node.next === undefined) this.#tail = node.previous;
    else node.next.previous = node.previous;
    node.list = undefined;
    node.next = undefined;
    node.previous = undefined;
    return true;
  }
}
