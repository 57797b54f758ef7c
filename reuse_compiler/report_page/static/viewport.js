// Moving and zooming a drawing: by pointer, touch, wheel and buttons. `apply(x, y, scale)` puts it on the screen.

class Viewport {
  constructor(element, width, height, apply) {
    Object.assign(this, {
      element,
      width,
      height,
      apply,
      x: 0,
      y: 0,
      scale: 1,
      moved: 0,
      pointers: new Map(),
      waiting: false,
    });
    element.addEventListener("pointerdown", (event) => this.press(event));
    element.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) element.addEventListener(name, (event) => this.release(event));
    element.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  get size() {
    return [this.element.clientWidth, this.element.clientHeight];
  }

  get smallest() {
    const [width, height] = this.size;
    return Math.min(1, width / this.width, height / this.height) * 0.8;
  }

  fit() {
    const [width, height] = this.size;
    if (!width || !height) return;
    this.fitted = true;
    this.scale = Math.min(1.25, width / this.width, height / this.height);
    this.x = (width - this.width * this.scale) / 2;
    this.y = (height - this.height * this.scale) / 2;
    this.show();
  }

  // Bring a point of the drawing to the middle, at a scale at which names can be read.
  centre(x, y, readable) {
    const [width, height] = this.size;
    this.fitted = false;
    this.scale = Math.max(this.scale, readable);
    this.x = width / 2 - x * this.scale;
    this.y = height / 2 - y * this.scale;
    this.show();
  }

  isInside(x, y, margin) {
    const [width, height] = this.size;
    const [left, top] = [x * this.scale + this.x, y * this.scale + this.y];
    return left > margin && top > margin && left < width - margin && top < height - margin;
  }

  zoom(factor, x = this.size[0] / 2, y = this.size[1] / 2) {
    const scale = Math.max(this.smallest, Math.min(3, this.scale * factor));
    this.fitted = false;
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.show();
  }

  pan(dx, dy) {
    this.fitted = false;
    this.x += dx;
    this.y += dy;
    this.show();
  }

  // At most once a frame of the screen.
  show() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.apply(this.x, this.y, this.scale);
    });
  }

  press(event) {
    if (event.button) return;
    this.pointers.set(event.pointerId, event);
    this.moved = 0;
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
    this.moved += Math.abs(dx) + Math.abs(dy);
    if (this.moved > 4 && !this.element.hasPointerCapture(event.pointerId))
      this.element.setPointerCapture(event.pointerId);
    if (this.pointers.size === 1) this.pan(dx, dy);
    else this.pinch(event, before);
    this.pointers.set(event.pointerId, event);
  }

  pinch(event, before) {
    const other = [...this.pointers.values()].find((pointer) => pointer.pointerId !== event.pointerId);
    const apart = (pointer) => Math.hypot(pointer.clientX - other.clientX, pointer.clientY - other.clientY) || 1;
    const box = this.element.getBoundingClientRect();
    this.zoom(
      apart(event) / apart(before),
      (event.clientX + other.clientX) / 2 - box.left,
      (event.clientY + other.clientY) / 2 - box.top,
    );
  }

  release(event) {
    this.pointers.delete(event.pointerId);
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const box = this.element.getBoundingClientRect();
    this.zoom(
      Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)),
      event.clientX - box.left,
      event.clientY - box.top,
    );
  }
}
