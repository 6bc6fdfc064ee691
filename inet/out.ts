/** Where a function leaves a result beside the one it returns: what a pointer to a variable is in C. */
export interface OutValue<Value> {
  value: Value;
}
