/** Those who wait for what comes next, by a promise or in a `for await`: first come, first served. */
export class Takers<T> {
  readonly #waiting: PromiseWithResolvers<IteratorResult<T, undefined>>[] = [];
  #ended = false;

  get areWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** To the first of them. @returns false: nobody waits */
  give(item: T): boolean {
    const first = this.#waiting.shift();
    first?.resolve({ value: item, done: false });
    return first !== undefined;
  }

  /** Nothing comes any more. @param error what those who wait are told; null: that it is the end */
  end(error: Error | null = null): void {
    this.#ended = true;
    for (const waiting of this.#waiting.splice(0)) {
      if (error === null) waiting.resolve({ value: undefined, done: true });
      else waiting.reject(error);
    }
  }

  /** @param look for something that is there already; called when there is somebody to {@link give} it to */
  next(look: () => void): Promise<IteratorResult<T, undefined>> {
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    const waiting = Promise.withResolvers<IteratorResult<T, undefined>>();
    this.#waiting.push(waiting);
    look();
    return waiting.promise;
  }

  /** For `for await`. @param look see {@link next} @param leave when the loop is left */
  iterate(look: () => void, leave: () => void): AsyncIterableIterator<T, undefined> {
    return {
      next: () => this.next(look),
      return: async () => {
        leave();
        return { value: undefined, done: true };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }
}
