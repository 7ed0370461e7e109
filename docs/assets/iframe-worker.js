// The search runs in a worker, which browsers refuse to pages that are opened from disk. There, a hidden frame takes its
// place: neither knows more than messages. Pages from a server keep the real one.
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(url) {
      const script = new URL(url, document.baseURI).href.replaceAll('"', "%22");
      const receive = (data) => this.onmessage?.(new MessageEvent("message", { data }));
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.title = "search";
      this.frame.srcdoc = `<script>self.postMessage = (data) => self.receive(data)</script><script src="${script}"></script>`;
      this.frame.addEventListener("load", () => {
        this.frame.contentWindow.receive = receive;
        const waiting = this.waiting;
        this.waiting = null;
        waiting.forEach((data) => this.postMessage(data));
      });
      document.body.append(this.frame);
    }

    postMessage(data) {
      if (this.waiting) this.waiting.push(data);
      else this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
