/** The largest of the values of a window of time, by K. Nichols' algorithm: three samples, each the best after the one before it. */
export class WindowedMax {
  #first = 0;
  #second = 0;
  #third = 0;
  #firstAt = 0;
  #secondAt = 0;
  #thirdAt = 0;

  /** The largest value. */
  get value(): number {
    return this.#first;
  }

  /** @param time counts in any unit, and never backwards. @param length of the window in it */
  update(value: number, time: number, length: number): void {
    if (value >= this.#first || time - this.#thirdAt > length) {
      this.#first = value;
      this.#second = value;
      this.#third = value;
      this.#firstAt = time;
      this.#secondAt = time;
      this.#thirdAt = time;
      return;
    }
    if (value >= this.#second) {
      this.#second = value;
      this.#third = value;
      this.#secondAt = time;
      this.#thirdAt = time;
    } else if (value >= this.#third) {
      this.#third = value;
      this.#thirdAt = time;
    }
    this.#forget(value, time, length);
  }

  #forget(value: number, time: number, length: number): void {
    const age = time - this.#firstAt;
    if (age > length) {
      // The best is over: the next ones move up
      this.#first = this.#second;
      this.#firstAt = this.#secondAt;
      this.#second = this.#third;
      this.#secondAt = this.#thirdAt;
      this.#third = value;
      this.#thirdAt = time;
      if (time - this.#firstAt > length) {
        this.#first = this.#second;
        this.#firstAt = this.#secondAt;
        this.#second = this.#third;
        this.#secondAt = this.#thirdAt;
      }
    } else if (this.#secondAt === this.#firstAt && age > length / 4) {
      // A quarter of the window without a second: take one from the rest of it
      this.#second = value;
      this.#third = value;
      this.#secondAt = time;
      this.#thirdAt = time;
    } else if (this.#thirdAt === this.#secondAt && age > length / 2) {
      this.#third = value;
      this.#thirdAt = time;
    }
  }
}
